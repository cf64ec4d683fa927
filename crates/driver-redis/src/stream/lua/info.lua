-- ARGV: group; milliseconds after which a consumer that holds nothing is forgotten. Gives nothing when there is no group; else
-- the lowest pending id or '', the first id behind the last delivered one or '', the last delivered id, the number of pending
-- ones, the number of those not delivered yet, and name and pending of each consumer.
local known = group()
if not known then return false end
local delivered = known['last-delivered-id']
local lowest = redis.call('XPENDING', STREAM, GROUP)[2] or ''
local length = redis.call('XLEN', STREAM)
local lag = known.lag
if not lag then
  -- Redis does not know behind gaps, so they are counted; a long way is estimated as all that is there.
  local from, seen, step = '(' .. delivered, 0, page(256)
  for _ = 1, 20 do
    local records = redis.call('XRANGE', STREAM, from, '+', 'COUNT', step)
    seen = seen + #records
    lag = seen
    if #records < step then break end
    lag, from = length, '(' .. records[#records][1]
  end
end
local answer = {lowest, first('(' .. delivered, '+'), delivered, known.pending, math.min(lag, length)}
for _, consumer in ipairs(consumers()) do
  if consumer.name == RELEASED then
    -- No member.
  elseif consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, consumer.name)
  else
    answer[#answer + 1] = consumer.name
    answer[#answer + 1] = consumer.pending
  end
end
return answer
