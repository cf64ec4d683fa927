-- ARGV: group. Returns 1 if it existed, else 0.
if not group() then return 0 end
return redis.call('XGROUP', 'DESTROY', STREAM, GROUP)
