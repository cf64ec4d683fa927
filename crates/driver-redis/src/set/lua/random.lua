-- KEYS: set. ARGV: how many members (negative: they may repeat), bytes after which no more are returned. Returns members in random
-- order. They are drawn one by one, because many large members at once would take much memory.
local most, budget = tonumber(ARGV[1]), tonumber(ARGV[2])
local repeats = most < 0
most = math.abs(most)
if not repeats then most = math.min(most, redis.call('SCARD', KEYS[1])) end
local members, drawn = {}, {}
while #members < most and budget > 0 do
  local member = redis.call('SRANDMEMBER', KEYS[1])
  if not member then break end
  if repeats or not drawn[member] then
    drawn[member] = true
    members[#members + 1] = member
    budget = budget - #member
  end
end
return members
