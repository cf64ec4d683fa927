-- ARGV: prefix, keys. Gives the revision that each had, or nothing.
local revisions = {}
for at = 2, #ARGV do
  revisions[at - 1] = delete(ARGV[at]) or ''
end
sweep(8)
return revisions
