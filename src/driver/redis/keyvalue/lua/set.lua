-- ARGV: prefix, then key, value, ttl of each item. Gives the revision of all of them.
local revision = next_revision()
for at = 2, #ARGV, 3 do
  store(ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), revision)
end
sweep(8 + #ARGV)
return struct.pack('>I8', revision)
