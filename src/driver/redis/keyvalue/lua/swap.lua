-- ARGV: prefix, key, expected revision (8 bytes), value, ttl. Gives whether it was stored, and the revision.
local found = head(ARGV[2])
local current = found and string.sub(found, 1, 8) or string.rep('\0', 8)
if current ~= ARGV[3] then return {0, current} end
local revision = next_revision()
store(ARGV[2], ARGV[4], tonumber(ARGV[5]), revision)
sweep(8)
return {1, struct.pack('>I8', revision)}
