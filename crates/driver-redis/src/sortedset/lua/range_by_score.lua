-- KEYS: sorted set. ARGV: bound up to which members are left out, bound up to which they are in the range (as the maximum of ZCOUNT;
-- empty = none), 1 from the greatest score, members to skip, most members, bytes after which the page ends, and, if the range begins
-- after a place, its score and member. Returns 1 if there are more members or else 0, and then members with their scores.
local reverse = ARGV[3] == '1'
local skip, most, budget = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local size = redis.call('ZCARD', KEYS[1])
local function count(bound) return redis.call('ZCOUNT', KEYS[1], '-inf', bound) end

-- Whether a member comes before another one. Lua itself compares by the language of the server.
local function before(one, other)
  local length = math.min(#one, #other)
  for at = 1, length, 64 do
    local last = math.min(at + 63, length)
    if string.sub(one, at, last) ~= string.sub(other, at, last) then
      for position = at, last do
        local a, b = string.byte(one, position), string.byte(other, position)
        if a ~= b then return a < b end
      end
    end
  end
  return #one < #other
end

-- The number of members before a place; with the member at the place if `inclusive`.
local function members_before(score, member, inclusive)
  local low, high = count('(' .. score), count(score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('ZRANGE', KEYS[1], middle, middle)[1]
    if before(found, member) or (inclusive and found == member) then low = middle + 1 else high = middle end
  end
  return low
end

-- The ranks from `start`, inclusive, to `finish`, exclusive.
local start, finish = 0, size
if ARGV[1] ~= '' then start = count(ARGV[1]) end
if ARGV[2] ~= '' then finish = count(ARGV[2]) end
if ARGV[7] then
  if reverse then
    finish = math.min(finish, members_before(ARGV[7], ARGV[8], false))
  else
    start = math.max(start, members_before(ARGV[7], ARGV[8], true))
  end
elseif reverse then
  finish = finish - skip
else
  start = start + skip
end

local page = {0}
local command, at, stop = 'ZRANGE', start, finish - 1
if reverse then command, at, stop = 'ZREVRANGE', size - finish, size - 1 - start end
local last = math.min(stop, at + most - 1)
while at <= last and budget > 0 do
  local part = redis.call(command, KEYS[1], at, math.min(at + 99, last), 'WITHSCORES')
  for item = 1, #part, 2 do
    page[#page + 1] = part[item]
    page[#page + 1] = part[item + 1]
    at = at + 1
    budget = budget - #part[item]
    if budget <= 0 then break end
  end
end
if at <= stop then page[1] = 1 end
return page
