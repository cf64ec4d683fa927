-- ARGV: prefix, lower bound, upper bound, most expired keys to forget. Gives -1 when there may be more of those.
local most = tonumber(ARGV[4])
if sweep(most) == most then return -1 end
return redis.call('ZLEXCOUNT', INDEX, ARGV[2], ARGV[3])
