-- ARGV: prefix, then key, value, ttl, flags of each item. Returns the revision, which is the same for all items.
local revision = next_revision()
for at = 2, #ARGV, 4 do
  store(ARGV[at], head(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3], revision)
end
sweep(8 + #ARGV)
return revision
