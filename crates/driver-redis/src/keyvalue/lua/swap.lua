-- ARGV: prefix, key, expected revision (8 bytes), value, ttl, flags. Returns 1 if the value was stored or else 0, and the revision.
local found = head(ARGV[2])
local current = revision_of(found)
if current ~= ARGV[3] then return {0, current} end
local revision = next_revision()
store(ARGV[2], found, ARGV[4], tonumber(ARGV[5]), ARGV[6], revision)
sweep(8)
return {1, revision}
