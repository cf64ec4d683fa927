-- ARGV: prefix, lower bound, upper bound, most keys, 1 for whole values or 0 for headers, bytes after which the page ends.
-- Returns the last visited key, or nil at the end of the range, and then each key and its stored bytes.
local most, budget, whole = tonumber(ARGV[4]), tonumber(ARGV[6]), ARGV[5] == '1'
local keys = redis.call('ZRANGEBYLEX', INDEX, ARGV[2], ARGV[3], 'LIMIT', 0, most)
local page = {#keys == most and keys[#keys] or false}
for at, key in ipairs(keys) do
  local stored
  if whole then stored = redis.call('GET', VALUES .. key) else stored = head(key) end
  if stored then
    page[#page + 1] = key
    page[#page + 1] = stored
    budget = budget - #key - #stored
    if budget <= 0 and at < #keys then
      page[1] = key
      break
    end
  else
    forget(key)
  end
end
return page
