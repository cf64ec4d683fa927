-- ARGV: prefix, key, expected revision (8 bytes). Returns 1 if the key was deleted or else 0, and its former revision.
local current = revision_of(head(ARGV[2]))
if current ~= ARGV[3] then return {0, current} end
delete(ARGV[2])
sweep(8)
return {1, current}
