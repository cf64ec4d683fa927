-- KEYS: set. ARGV: most members, bytes after which no more are taken. Returns the members.
local most, budget = tonumber(ARGV[1]), tonumber(ARGV[2])
local taken = {}
while #taken < most and budget > 0 do
  local member = redis.call('SPOP', KEYS[1])
  if not member then break end
  taken[#taken + 1] = member
  budget = budget - #member
end
return taken
