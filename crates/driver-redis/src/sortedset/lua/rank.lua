-- KEYS: sorted set. ARGV: ZRANK or ZREVRANK, member. Returns the rank and the score, or nil if the member does not exist.
local score = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not score then return false end
return {redis.call(ARGV[1], KEYS[1], ARGV[2]), score}
