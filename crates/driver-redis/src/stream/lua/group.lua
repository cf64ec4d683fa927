-- Shared by the scripts of consumer groups. ARGV[1]: the group.
local GROUP = ARGV[1]

-- The consumer that has the deliveries of members that have left. The name of a consumer starts with its time to acknowledge in
-- milliseconds, which is 0 here.
local RELEASED = '0||'

-- Returns the fields of XINFO for the group, or nil if the group does not exist.
local function group()
  local groups = redis.pcall('XINFO', 'GROUPS', STREAM)
  if groups.err then return end
  for _, facts in ipairs(groups) do
    local known = {}
    for i = 1, #facts, 2 do known[facts[i]] = facts[i + 1] end
    if known.name == GROUP then return known end
  end
end

-- Returns the fields of XINFO for each consumer.
local function consumers()
  local list = {}
  for i, facts in ipairs(redis.call('XINFO', 'CONSUMERS', STREAM, GROUP)) do
    list[i] = {}
    for j = 1, #facts, 2 do list[i][facts[j]] = facts[j + 1] end
  end
  return list
end
