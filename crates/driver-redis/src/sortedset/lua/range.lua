-- KEYS: sorted set. ARGV: first and last rank (negative from the end), 1 to count from the greatest score, most members, bytes after
-- which the page ends, milliseconds after which the sorted set expires (0 = never). Returns the first and the last rank of the range,
-- counted from its start, and then members with their scores. Returns nil if the sorted set has expired.
if ARGV[6] ~= '0' and redis.call('PEXPIRE', KEYS[1], ARGV[6]) == 0 then return false end
local size = redis.call('ZCARD', KEYS[1])
local function from_start(rank) if rank < 0 then return size + rank end return rank end
local start = math.max(from_start(tonumber(ARGV[1])), 0)
local stop = math.min(from_start(tonumber(ARGV[2])), size - 1)
local most, budget = tonumber(ARGV[4]), tonumber(ARGV[5])
-- An empty range is the same for every start, and Redis returns numbers of up to 64 bits only.
if start > stop then return {0, -1} end
local command = ARGV[3] == '1' and 'ZREVRANGE' or 'ZRANGE'
local page = {start, stop}
local at = start
stop = math.min(stop, start + most - 1)
while at <= stop and budget > 0 do
  local part = redis.call(command, KEYS[1], at, math.min(at + 99, stop), 'WITHSCORES')
  for item = 1, #part, 2 do
    page[#page + 1] = part[item]
    page[#page + 1] = part[item + 1]
    budget = budget - #part[item]
    if budget <= 0 then break end
  end
  at = at + 100
end
return page
