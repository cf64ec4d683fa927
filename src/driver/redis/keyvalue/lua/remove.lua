-- ARGV: prefix, key, expected revision (8 bytes). Gives whether it was deleted, and the revision that it had.
local found = head(ARGV[2])
local current = found and string.sub(found, 1, 8) or string.rep('\0', 8)
if current ~= ARGV[3] then return {0, current} end
delete(ARGV[2])
sweep(8)
return {1, current}
