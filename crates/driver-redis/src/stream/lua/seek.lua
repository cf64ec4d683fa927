-- ARGV: group; the id to move to. Destroys and creates the group, which removes all its deliveries. Returns the id of the next record
-- or '', and the last id of the stream; nil if the group does not exist.
if not group() then return false end
local names = consumers()
local last = redis.call('HGET', META, 'last') or '0-0'
local next_id = first(ARGV[2], '+')
local before = last
if next_id ~= '' then
  local ms, n = split(next_id)
  before = n > 0 and id_of(ms, n - 1) or id_of(ms - 1, 1048575)
end
redis.call('XGROUP', 'DESTROY', STREAM, GROUP)
redis.call('XGROUP', 'CREATE', STREAM, GROUP, before)
for _, consumer in ipairs(names) do
  redis.call('XGROUP', 'CREATECONSUMER', STREAM, GROUP, consumer.name)
end
return {next_id, last}
