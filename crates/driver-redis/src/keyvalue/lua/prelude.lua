-- Shared by all key-value scripts. KEYS: revision, index of keys, expirations, watch, changes. ARGV[1]: prefix of the Redis keys of
-- values.
local REVISION, INDEX, EXPIRATIONS, WATCH, CHANGES, VALUES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Numbers are 8 bytes in big-endian order, so comparing them byte by byte compares the numbers.
local function bytes(number) return struct.pack('>I8', number) end
local NONE = '\0\0\0\0\0\0\0\0'
local ONE = '\0\0\0\0\0\0\0\1'
-- The last seven bytes of the expiration of an entry that never expires.
local NEVER = '\0\0\0\0\0\0\0'

-- Returns a new revision (8 bytes). It is greater than the last one, and at least the time in microseconds, so it is new even if
-- the server has lost its last writes in a crash.
local function next_revision()
  local last = tonumber(redis.call('GET', REVISION) or '0')
  local revision = math.max(last + 1, time[1] * 1000000 + time[2])
  redis.call('SET', REVISION, string.format('%.0f', revision))
  return bytes(revision)
end

-- Returns the header of a stored value, at least revision and expiration; nil if the key does not exist.
local function head(key)
  local found = redis.call('GETRANGE', VALUES .. key, 0, 39)
  if #found >= 16 then return found end
end

-- Whether the header also has the create revision, the version and the flags. The first byte of the expiration tells it; values
-- that an older Prism wrote don't have them.
local function complete(found) return string.byte(found, 9) == 128 end

-- Returns the revision of a key; zero if it does not exist.
local function revision_of(found) return found and string.sub(found, 1, 8) or NONE end

-- Returns the create revision and the version of a key; zeros if it does not exist.
local function origin(found)
  if not found then return NONE, NONE end
  if complete(found) then return string.sub(found, 17, 24), string.sub(found, 25, 32) end
  return string.sub(found, 1, 8), ONE
end

-- Redis still returns a key in the millisecond of its expiration, so Redis gets the millisecond before it.
local function last_millisecond(expiration)
  return string.format('%.0f', expiration - 1)
end

-- Whether changes are recorded: the keyspace is watched, or was not long ago.
local recorded
local function is_recorded()
  if recorded == nil then recorded = redis.call('EXISTS', WATCH) == 1 end
  return recorded
end

-- Limits of the history.
local MAX_CHANGES, MAX_BYTES = 10000, 67108864

-- Adds a change: 's' stored, with the stored bytes; 'd' deleted, with the former revision; 'e' expired.
local function record(kind, key, data)
  local id = redis.call('XADD', CHANGES, '*', 'kind', kind, 'key', key, 'data', data)
  redis.call('HSET', WATCH, 'last', id)
  local bytes = redis.call('HINCRBY', WATCH, 'bytes', #key + #data)
  local count = redis.call('XLEN', CHANGES)
  if count == 1 then redis.call('PEXPIRE', CHANGES, math.max(redis.call('PTTL', WATCH), 1)) end
  while count > MAX_CHANGES or (bytes > MAX_BYTES and count > 1) do
    local oldest = redis.call('XRANGE', CHANGES, '-', '+', 'COUNT', 1)[1]
    redis.call('XDEL', CHANGES, oldest[1])
    redis.call('HSET', WATCH, 'removed', oldest[1])
    bytes = redis.call('HINCRBY', WATCH, 'bytes', -(#oldest[2][4] + #oldest[2][6]))
    count = count - 1
  end
end

-- Records that a key which was written again or deleted has expired before that, if nothing has recorded it yet.
local function record_expired(key)
  if redis.call('ZSCORE', EXPIRATIONS, key) then record('e', key, '') end
end

-- Stores a value. found: the former header, or nil. ttl: milliseconds, 0 = never expires. flags and revision: 8 bytes.
local function store(key, found, value, ttl, flags, revision)
  local created, version, lasting = revision, ONE, false
  if found then
    created, version = origin(found)
    version = bytes(struct.unpack('>I8', version) + 1)
    -- An entry that never expires is already in the index of keys, and not in that of expirations.
    lasting = string.sub(found, 10, 16) == NEVER
  elseif is_recorded() then
    record_expired(key)
  end
  local stored
  if ttl == 0 then
    stored = revision .. '\128' .. NEVER .. created .. version .. flags .. value
    redis.call('SET', VALUES .. key, stored)
    if not lasting then redis.call('ZREM', EXPIRATIONS, key) end
  else
    local expiration = now + ttl
    stored = revision .. '\128' .. string.sub(bytes(expiration), 2) .. created .. version .. flags .. value
    redis.call('SET', VALUES .. key, stored, 'PXAT', last_millisecond(expiration))
    redis.call('ZADD', EXPIRATIONS, expiration, key)
  end
  if not lasting then redis.call('ZADD', INDEX, 0, key) end
  if is_recorded() then record('s', key, stored) end
end

-- Removes a key from the indexes.
local function unindex(key)
  redis.call('ZREM', INDEX, key)
  redis.call('ZREM', EXPIRATIONS, key)
end

-- Removes a key whose value Redis has removed.
local function forget(key)
  unindex(key)
  if is_recorded() then record('e', key, '') end
end

-- Deletes a key. Returns its former revision (8 bytes), or nil if it did not exist.
local function delete(key)
  local found = head(key)
  redis.call('UNLINK', VALUES .. key)
  if is_recorded() then
    if found then record('d', key, string.sub(found, 1, 8)) else record_expired(key) end
  end
  unindex(key)
  return found and string.sub(found, 1, 8)
end

-- Removes at most this many expired keys from the indexes, and returns how many. Scripts call it last: after its first write, a
-- script may continue to write even if the memory of Redis is full.
local function sweep(most)
  local expired = redis.call('ZRANGEBYSCORE', EXPIRATIONS, '-inf', now, 'LIMIT', 0, most)
  for _, key in ipairs(expired) do forget(key) end
  return #expired
end
