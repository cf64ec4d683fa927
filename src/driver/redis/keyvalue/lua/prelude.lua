-- Shared by all key-value scripts. KEYS: revision, index of keys, expirations. ARGV[1]: what stands before a key.
local REVISION, INDEX, EXPIRATIONS, VALUES = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A revision is greater than the last one and than the time in microseconds. So it stays new even when the server comes
-- back without its last writes.
local function next_revision()
  local last = tonumber(redis.call('GET', REVISION) or '0')
  local revision = math.max(last + 1, time[1] * 1000000 + time[2])
  redis.call('SET', REVISION, string.format('%.0f', revision))
  return revision
end

-- Revision and expiration of a key, 8 bytes each; nil when it is not there.
local function head(key)
  local bytes = redis.call('GETRANGE', VALUES .. key, 0, 15)
  if #bytes == 16 then return bytes end
end

-- The instant from which on Redis must not find a key is a millisecond behind the last one at which it does.
local function last_millisecond(expiration)
  return string.format('%.0f', expiration - 1)
end

-- Stores a value; ttl in milliseconds, 0 = forever.
local function store(key, value, ttl, revision)
  if ttl == 0 then
    redis.call('SET', VALUES .. key, struct.pack('>I8I8', revision, 0) .. value)
    redis.call('ZREM', EXPIRATIONS, key)
  else
    local expiration = now + ttl
    redis.call('SET', VALUES .. key, struct.pack('>I8I8', revision, expiration) .. value, 'PXAT', last_millisecond(expiration))
    redis.call('ZADD', EXPIRATIONS, expiration, key)
  end
  redis.call('ZADD', INDEX, 0, key)
end

-- Takes a key out of the indexes.
local function forget(key)
  redis.call('ZREM', INDEX, key)
  redis.call('ZREM', EXPIRATIONS, key)
end

-- Deletes a key; gives the revision that it had, 8 bytes, or false.
local function delete(key)
  local found = head(key)
  redis.call('UNLINK', VALUES .. key)
  forget(key)
  return found and string.sub(found, 1, 8)
end

-- Forgets up to so many keys that have expired. It comes last in a script: once a script has written, Redis lets it go on
-- even when its memory is full.
local function sweep(most)
  local expired = redis.call('ZRANGEBYSCORE', EXPIRATIONS, '-inf', now, 'LIMIT', 0, most)
  for _, key in ipairs(expired) do forget(key) end
  return #expired
end
