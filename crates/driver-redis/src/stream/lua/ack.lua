-- ARGV: group, ids. Gives how many were waiting, or nothing when there is no group.
if not group() then return false end
return redis.call('XACK', STREAM, GROUP, unpack(ARGV, 2))
