-- KEYS: destination, sources. ARGV: SUNIONSTORE, SINTERSTORE or SDIFFSTORE, milliseconds after which the result expires (0 = never).
-- Returns the size of the result.
local size = redis.call(ARGV[1], unpack(KEYS))
if size > 0 and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return size
