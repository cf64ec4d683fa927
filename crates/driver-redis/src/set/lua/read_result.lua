-- KEYS: result. ARGV: milliseconds for which it exists from now on, cursor and number of members for SSCAN. Returns the reply of
-- SSCAN, or nil if the result has expired.
if redis.call('PEXPIRE', KEYS[1], ARGV[1]) == 0 then return false end
return redis.call('SSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
