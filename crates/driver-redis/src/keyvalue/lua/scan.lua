-- ARGV: prefix, lower bound, upper bound, most keys, 1 for values and 0 for heads only, bytes after which to stop.
-- Gives the last key that was looked at, or nothing when the range is done, and then each key with what it holds.
local most, budget, command = tonumber(ARGV[4]), tonumber(ARGV[6]), ARGV[5] == '1'
local keys = redis.call('ZRANGEBYLEX', INDEX, ARGV[2], ARGV[3], 'LIMIT', 0, most)
local page = {#keys == most and keys[#keys] or false}
for at, key in ipairs(keys) do
  local held
  if command then held = redis.call('GET', VALUES .. key) else held = head(key) end
  if held then
    page[#page + 1] = key
    page[#page + 1] = held
    budget = budget - #key - #held
    if budget <= 0 and at < #keys then
      page[1] = key
      break
    end
  else
    forget(key)
  end
end
return page
