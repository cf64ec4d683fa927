-- ARGV: group; id of the last record before its start, or '$' for the end. Returns 1 if it was created, 0 if it existed.
if group() then return 0 end
local id = ARGV[2]
if id == '$' then id = redis.call('HGET', META, 'last') or '0-0' end
redis.call('XGROUP', 'CREATE', STREAM, GROUP, id, 'MKSTREAM')
return 1
