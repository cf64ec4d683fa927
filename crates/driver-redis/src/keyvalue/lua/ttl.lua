-- ARGV: prefix, key. Gives the expiration (8 bytes) and the present time, or nothing when the key is not there.
local found = head(ARGV[2])
if not found then return false end
return {string.sub(found, 9, 16), now}
