-- KEYS: list. ARGV: LPOP or RPOP, most elements, bytes after which no more are taken. Returns the elements.
local most, budget = tonumber(ARGV[2]), tonumber(ARGV[3])
local taken = {}
while #taken < most and budget > 0 do
  local value = redis.call(ARGV[1], KEYS[1])
  if not value then break end
  taken[#taken + 1] = value
  budget = budget - #value
end
return taken
