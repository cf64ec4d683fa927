-- ARGV: prefix, keys. Returns the former revision of each key, or '' if it did not exist.
local revisions = {}
for at = 2, #ARGV do
  revisions[at - 1] = delete(ARGV[at]) or ''
end
sweep(8)
return revisions
