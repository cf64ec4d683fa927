-- KEYS: list. ARGV: 'index', the index and a marker that no element is equal to, or 'value', the value and how many (0 = all,
-- negative from the right). Returns how many elements were removed, and the length.
local removed
if ARGV[1] == 'index' then
  if not redis.call('LINDEX', KEYS[1], ARGV[2]) then return {0, redis.call('LLEN', KEYS[1])} end
  -- Redis removes values only, so the element is replaced by a value that it finds there first.
  redis.call('LSET', KEYS[1], ARGV[2], ARGV[3])
  removed = redis.call('LREM', KEYS[1], tonumber(ARGV[2]) < 0 and -1 or 1, ARGV[3])
else
  removed = redis.call('LREM', KEYS[1], ARGV[3], ARGV[2])
end
return {removed, redis.call('LLEN', KEYS[1])}
