-- ARGV: prefix, lower bound, upper bound, most expired keys to remove. Returns the number of keys, or -1 if there may be more
-- expired keys; then it must be called again.
local most = tonumber(ARGV[4])
if sweep(most) == most then return -1 end
return redis.call('ZLEXCOUNT', INDEX, ARGV[2], ARGV[3])
