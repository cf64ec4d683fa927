-- KEYS: sorted set. ARGV: name of the operation, then each member and its score; all members differ. Returns the numbers of new and
-- of changed members, and the score of each member, nil if it was passed over. Returns nothing, and writes nothing, if an increment
-- would make a score NaN.
local operation = ARGV[1]
local function number(text)
  if text == 'inf' then return math.huge end
  if text == '-inf' then return -math.huge end
  return tonumber(text)
end
local function score_after(current, given)
  if not current then
    if operation == 'ADD_OPERATION_ONLY_EXISTING' then return false end
    return given
  end
  if operation == 'ADD_OPERATION_ONLY_NEW' then return current end
  if operation == 'ADD_OPERATION_KEEP_GREATER' and number(current) >= number(given) then return current end
  if operation == 'ADD_OPERATION_KEEP_LESS' and number(current) <= number(given) then return current end
  if operation ~= 'ADD_OPERATION_INCREMENT' then return given end
  local sum = number(current) + number(given)
  if sum ~= sum then return nil end
  return string.format('%.17g', sum)
end
local reply, writes = {0, 0}, {}
for at = 2, #ARGV, 2 do
  local current = redis.call('ZSCORE', KEYS[1], ARGV[at])
  local score = score_after(current, ARGV[at + 1])
  if score == nil then return {} end
  reply[#reply + 1] = score
  local new, changed = not current and score, current and number(current) ~= number(score)
  if new then reply[1] = reply[1] + 1 end
  if changed then reply[2] = reply[2] + 1 end
  if new or changed then
    writes[#writes + 1] = score
    writes[#writes + 1] = ARGV[at]
  end
end
if #writes > 0 then redis.call('ZADD', KEYS[1], unpack(writes)) end
return reply
