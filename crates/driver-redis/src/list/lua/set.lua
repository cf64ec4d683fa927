-- KEYS: list. ARGV: index, value. Returns 1 if there was an element, or else 0.
if not redis.call('LINDEX', KEYS[1], ARGV[1]) then return 0 end
redis.call('LSET', KEYS[1], ARGV[1], ARGV[2])
return 1
