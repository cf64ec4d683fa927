-- ARGV: group; the id to go on with. The group is made anew, so that nothing of its past is left. Gives the id that it goes on
-- with and the last id of the stream, or nothing when there is no group.
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
