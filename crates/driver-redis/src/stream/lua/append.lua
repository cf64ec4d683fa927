-- ARGV: the expected last id, or ''; then the fields. Returns 1 and the new id, or 0 and the last id if it is not the expected one.
local last = redis.call('HGET', META, 'last') or '0-0'
if ARGV[1] ~= '' and ARGV[1] ~= last then return {0, last} end
local fields = {unpack(ARGV, 2)}
local id = redis.call('XADD', STREAM, '*', unpack(fields))
local ms, n = split(id)
if n >= 1048576 then
  -- An offset has 20 bits for the number of a record within its millisecond. More records have the same millisecond only if the
  -- clock does not advance. Then the record gets an id of the next millisecond.
  redis.call('XDEL', STREAM, id)
  id = redis.call('XADD', STREAM, id_of(ms + 1, 0), unpack(fields))
end
redis.call('HSET', META, 'last', id)
redis.call('HINCRBY', META, 'bytes', size(fields))
trim(64, false)
return {1, id}
