-- ARGV: the id that must be the last one, or nothing; then the fields. Gives 1 and the new id, or 0 and the last id.
local last = redis.call('HGET', META, 'last') or '0-0'
if ARGV[1] ~= '' and ARGV[1] ~= last then return {0, last} end
local fields = {unpack(ARGV, 2)}
local id = redis.call('XADD', STREAM, '*', unpack(fields))
local ms, n = split(id)
if n >= 1048576 then
  -- An offset has 20 bits for the number inside a millisecond. Only a clock that stands still for a million records gets here.
  redis.call('XDEL', STREAM, id)
  id = redis.call('XADD', STREAM, id_of(ms + 1, 0), unpack(fields))
end
redis.call('HSET', META, 'last', id)
redis.call('HINCRBY', META, 'bytes', size(fields))
trim(64, false)
return {1, id}
