-- ARGV: group; milliseconds after which an idle consumer without deliveries is removed. Returns nil if the group does not exist; else
-- the lowest pending id or '', the first id after the last delivered one or '', the last delivered id, the number of pending
-- records, the number of records not delivered yet, and name and pending records of each consumer.
local known = group()
if not known then return false end
local delivered = known['last-delivered-id']
local lowest = redis.call('XPENDING', STREAM, GROUP)[2] or ''
local length = redis.call('XLEN', STREAM)
local lag = known.lag
if not lag then
  -- Redis does not know the lag after a gap, so the records are counted. A long lag is estimated as the number of all records.
  local from, count, step = '(' .. delivered, 0, page(256)
  for _ = 1, 20 do
    local records = redis.call('XRANGE', STREAM, from, '+', 'COUNT', step)
    count = count + #records
    lag = count
    if #records < step then break end
    lag, from = length, '(' .. records[#records][1]
  end
end
local reply = {lowest, first('(' .. delivered, '+'), delivered, known.pending, math.min(lag, length)}
for _, consumer in ipairs(consumers()) do
  if consumer.name == RELEASED then
    -- Not a member.
  elseif consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, consumer.name)
  else
    reply[#reply + 1] = consumer.name
    reply[#reply + 1] = consumer.pending
  end
end
return reply
