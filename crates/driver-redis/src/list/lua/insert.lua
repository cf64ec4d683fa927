-- KEYS: list. ARGV: BEFORE or AFTER, value, then 'pivot' and the pivot, or 'index', the index and a marker that no element is equal
-- to. Returns 1 if the value was inserted or else 0, and the length.
local pivot = ARGV[4]
if ARGV[3] == 'index' then
  local index, marker = tonumber(ARGV[4]), ARGV[5]
  local element = redis.call('LINDEX', KEYS[1], index)
  if not element then return {0, redis.call('LLEN', KEYS[1])} end
  -- Redis inserts beside a value only, so the element is replaced by a value that it finds there first.
  redis.call('LSET', KEYS[1], index, marker)
  local length = redis.call('LINSERT', KEYS[1], ARGV[1], marker, ARGV[2])
  -- Where the element is now: the value moved it if both are on the same side of the end from which the index counts.
  local at = index
  if index >= 0 and ARGV[1] == 'BEFORE' then at = index + 1 end
  if index < 0 and ARGV[1] == 'AFTER' then at = index - 1 end
  redis.call('LSET', KEYS[1], at, element)
  return {1, length}
end
local length = redis.call('LINSERT', KEYS[1], ARGV[1], pivot, ARGV[2])
if length > 0 then return {1, length} end
return {0, redis.call('LLEN', KEYS[1])}
