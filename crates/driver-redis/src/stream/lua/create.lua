-- ARGV: group; id of the last record before it, or '$' for the end. Gives 1 when it was made, 0 when it was there.
if group() then return 0 end
local id = ARGV[2]
if id == '$' then id = redis.call('HGET', META, 'last') or '0-0' end
redis.call('XGROUP', 'CREATE', STREAM, GROUP, id, 'MKSTREAM')
return 1
