-- ARGV: group; consumer; most pending records of the consumer; the position of the search for expired deliveries, or '' to skip it.
-- Returns nil if the group does not exist; else the next position of the search, the last delivered id of the group, how many more
-- records the consumer may get, and id, fields and attempt of each delivery.
local known = group()
if not known then return false end
local consumer, cursor = ARGV[2], ARGV[4]
local room, budget, reply = tonumber(ARGV[3]), BUDGET, {cursor, known['last-delivered-id'], 0}
local me
for _, other in ipairs(consumers()) do
  if other.name == consumer then me = other end
end
-- Before Redis 7.2, a read without a result neither creates a consumer nor resets its idle time.
if me and me.pending == 0 and me.idle > 60000 then
  redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, consumer)
  me = nil
end
if me then room = room - me.pending else redis.call('XGROUP', 'CREATECONSUMER', STREAM, GROUP, consumer) end

local function deliver(record, attempt)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3] = record[1], record[2], attempt
  room, budget = room - 1, budget - size(record[2])
end

-- Takes over expired deliveries of other consumers.
local function claim(pending)
  for _, delivery in ipairs(pending) do
    if room <= 0 or budget <= 0 then return end
    if delivery[3] >= tonumber(string.match(delivery[2], '^%d+') or '30000') then
      local record = redis.call('XCLAIM', STREAM, GROUP, consumer, 0, delivery[1])[1]
      if record and record[2] then
        deliver(record, delivery[4] + 1)
      else
        -- Retention removed the record.
        redis.call('XACK', STREAM, GROUP, delivery[1])
      end
    end
  end
end

if room > 0 then claim(redis.call('XPENDING', STREAM, GROUP, '-', '+', math.min(room, 100), RELEASED)) end
if cursor ~= '' and room > 0 then
  local pending = redis.call('XPENDING', STREAM, GROUP, cursor, '+', 500)
  claim(pending)
  reply[1] = #pending == 500 and '(' .. pending[500][1] or '-'
end
if room > 0 and budget > 0 then
  local read = redis.call('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', page(room), 'STREAMS', STREAM, '>')
  if read then
    for _, record in ipairs(read[1][2]) do
      deliver(record, 1)
      reply[2] = record[1]
    end
  end
end
reply[3] = room
return reply
