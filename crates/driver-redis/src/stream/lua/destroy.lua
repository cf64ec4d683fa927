-- ARGV: group. Gives 1 when it was there.
if not group() then return 0 end
return redis.call('XGROUP', 'DESTROY', STREAM, GROUP)
