-- KEYS[3]: the set of the keys of later records. ARGV: the end of the page, most records. Visits records from new to old, and removes
-- each record whose key is in the set. Returns how many, and the end of the next page, or '' after the last one.
local records = redis.call('XREVRANGE', STREAM, ARGV[1], '-', 'COUNT', page(tonumber(ARGV[2])))
local count, gone, last = 0, 0, ''
for _, record in ipairs(records) do
  last = record[1]
  for i = 1, #record[2], 2 do
    if record[2][i] == 'k' then
      if redis.call('SADD', KEYS[3], redis.sha1hex(record[2][i + 1])) == 0 then
        redis.call('XDEL', STREAM, record[1])
        count, gone = count + 1, gone + size(record[2])
      end
      break
    end
  end
end
redis.call('EXPIRE', KEYS[3], 600)
if gone > 0 then removed(gone) end
if #records == 0 then
  redis.call('DEL', KEYS[3])
  return {count, ''}
end
return {count, '(' .. last}
