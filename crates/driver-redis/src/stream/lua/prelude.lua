-- Shared by all stream scripts. KEYS: the stream, and the hash with its metadata.
local STREAM, META = KEYS[1], KEYS[2]

-- About how many bytes a script reads.
local BUDGET = 1048576

-- The time in milliseconds.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Returns the milliseconds and the number of an id.
local function split(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(n)
end

local function id_of(ms, n)
  return string.format('%.0f-%.0f', ms, n)
end

-- The id after another one.
local function after(id)
  local ms, n = split(id)
  return id_of(ms, n + 1)
end

-- The bytes of the fields of a record.
local function size(fields)
  local bytes = 0
  for _, field in ipairs(fields) do bytes = bytes + #field end
  return bytes
end

-- Returns how many records of average size have about BUDGET bytes, limited to 256 and to the argument.
local function page(most)
  local length, bytes = redis.call('XLEN', STREAM), tonumber(redis.call('HGET', META, 'bytes') or '0')
  if length == 0 then return math.min(most, 100) end
  return math.max(1, math.min(most, 256, math.floor(BUDGET / math.max(1, bytes / length))))
end

-- Returns the id of the first record in a range, or ''.
local function first(from, to)
  local found = redis.call('XRANGE', STREAM, from, to, 'COUNT', 1)
  return found[1] and found[1][1] or ''
end

-- Subtracts the bytes of removed records from the size of the stream.
local function removed(bytes)
  local left = tonumber(redis.call('HGET', META, 'bytes') or '0') - bytes
  redis.call('HSET', META, 'bytes', string.format('%.0f', math.max(0, left)))
end

-- Removes the oldest records that exceed the retention limits, at most this many, and returns how many. aged: whether to apply the
-- limit of age too. Stores the last removed id, so that readers notice that they missed records.
local function trim(most, aged)
  local policy = redis.call('HMGET', META, 'max_records', 'max_bytes', 'max_age', 'bytes')
  local max_records, max_bytes, max_age = tonumber(policy[1] or nil), tonumber(policy[2] or nil), tonumber(policy[3] or nil)
  if not aged then max_age = nil end
  if not (max_records or max_bytes or max_age) then return 0 end
  local length, bytes = redis.call('XLEN', STREAM), tonumber(policy[4] or '0')
  local oldest = max_age and now() - max_age
  local count = 0
  while count < most and length > 0 do
    if not oldest and not (max_records and length > max_records) and not (max_bytes and bytes > max_bytes) then break end
    local last, gone, kept = nil, 0, false
    for _, record in ipairs(redis.call('XRANGE', STREAM, '-', '+', 'COUNT', page(most - count))) do
      local old = oldest and split(record[1]) < oldest
      if not (old or (max_records and length > max_records) or (max_bytes and bytes > max_bytes)) then
        kept = true
        break
      end
      local bytes_of_record = size(record[2])
      last, count, length, bytes, gone = record[1], count + 1, length - 1, bytes - bytes_of_record, gone + bytes_of_record
    end
    if last then
      redis.call('XTRIM', STREAM, 'MINID', '=', after(last))
      redis.call('HSET', META, 'trimmed', last)
      removed(gone)
    end
    if kept or not last then break end
  end
  return count
end
