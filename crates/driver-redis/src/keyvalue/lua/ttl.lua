-- ARGV: prefix, key. Returns the expiration (8 bytes) and the current time, or nil if the key does not exist.
local found = head(ARGV[2])
if not found then return false end
return {string.sub(found, 9, 16), now}
