-- KEYS: list. ARGV: first and last index to keep. Returns how many elements were removed, and the length.
local before = redis.call('LLEN', KEYS[1])
redis.call('LTRIM', KEYS[1], ARGV[1], ARGV[2])
local after = redis.call('LLEN', KEYS[1])
return {before - after, after}
