-- ARGV: group, ids. Returns how many were pending, or nil if the group does not exist.
if not group() then return false end
return redis.call('XACK', STREAM, GROUP, unpack(ARGV, 2))
