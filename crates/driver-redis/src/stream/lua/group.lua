-- Shared by the scripts of consumer groups. ARGV[1]: the group.
local GROUP = ARGV[1]

-- Deliveries that nobody holds any more wait under this name. A consumer's name begins with its time to acknowledge in
-- milliseconds; this one has none.
local RELEASED = '0||'

-- The facts of the group by name, or nil when it is not there.
local function group()
  local groups = redis.pcall('XINFO', 'GROUPS', STREAM)
  if groups.err then return end
  for _, facts in ipairs(groups) do
    local known = {}
    for i = 1, #facts, 2 do known[facts[i]] = facts[i + 1] end
    if known.name == GROUP then return known end
  end
end

local function consumers()
  local list = {}
  for i, facts in ipairs(redis.call('XINFO', 'CONSUMERS', STREAM, GROUP)) do
    list[i] = {}
    for j = 1, #facts, 2 do list[i][facts[j]] = facts[j + 1] end
  end
  return list
end
