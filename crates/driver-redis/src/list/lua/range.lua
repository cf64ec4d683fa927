-- KEYS: list. ARGV: first and last index (negative from the right), most elements, bytes after which the page ends. Returns the
-- first and the last index of the range, counted from the left, and then elements from the first on.
local length = redis.call('LLEN', KEYS[1])
local function from_left(index) if index < 0 then return length + index end return index end
local start = math.max(from_left(tonumber(ARGV[1])), 0)
local stop = math.min(from_left(tonumber(ARGV[2])), length - 1)
local most, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
-- An empty range is the same for every start, and Redis returns numbers of up to 64 bits only.
if start > stop then return {0, -1} end
local page = {start, stop}
local at = start
stop = math.min(stop, start + most - 1)
while at <= stop and budget > 0 do
  local part = redis.call('LRANGE', KEYS[1], at, math.min(at + 15, stop))
  for _, value in ipairs(part) do
    page[#page + 1] = value
    budget = budget - #value
    if budget <= 0 then break end
  end
  at = at + #part
end
return page
