-- Shared by all key-value scripts. KEYS: revision, index of keys, expirations. ARGV[1]: what stands before a key.
local REVISION, INDEX, EXPIRATIONS, VALUES = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Numbers are 8 bytes, the greatest first. Text compares as they do, as long as it is compared byte by byte.
local function bytes(number) return struct.pack('>I8', number) end
local NONE = '\0\0\0\0\0\0\0\0'
local ONE = '\0\0\0\0\0\0\0\1'
-- Seven bytes of an expiration that never comes.
local NEVER = '\0\0\0\0\0\0\0'

-- A revision, 8 bytes. It is greater than the last one and than the time in microseconds. So it stays new even when the
-- server comes back without its last writes.
local function next_revision()
  local last = tonumber(redis.call('GET', REVISION) or '0')
  local revision = math.max(last + 1, time[1] * 1000000 + time[2])
  redis.call('SET', REVISION, string.format('%.0f', revision))
  return bytes(revision)
end

-- What stands before the value of a key, at least its revision and its expiration; nil when the key is not there.
local function head(key)
  local found = redis.call('GETRANGE', VALUES .. key, 0, 39)
  if #found >= 16 then return found end
end

-- Whether more follows on the expiration, whose first byte says so: the revision that created the key, its version and
-- its flags. What an older Prism wrote has none of them.
local function complete(found) return string.byte(found, 9) == 128 end

-- The revision of a key; zero when it is not there.
local function revision_of(found) return found and string.sub(found, 1, 8) or NONE end

-- The revision that created a key, and its version; zeros when it is not there.
local function origin(found)
  if not found then return NONE, NONE end
  if complete(found) then return string.sub(found, 17, 24), string.sub(found, 25, 32) end
  return string.sub(found, 1, 8), ONE
end

-- The instant from which on Redis must not find a key is a millisecond behind the last one at which it does.
local function last_millisecond(expiration)
  return string.format('%.0f', expiration - 1)
end

-- Stores a value over what was found; ttl in milliseconds, 0 = forever; flags and revision are 8 bytes.
local function store(key, found, value, ttl, flags, revision)
  local created, version, lasting = revision, ONE, false
  if found then
    created, version = origin(found)
    version = bytes(struct.unpack('>I8', version) + 1)
    -- What was there without an expiration is in the index already, and not among the keys that expire.
    lasting = string.sub(found, 10, 16) == NEVER
  end
  if ttl == 0 then
    redis.call('SET', VALUES .. key, revision .. '\128' .. NEVER .. created .. version .. flags .. value)
    if not lasting then redis.call('ZREM', EXPIRATIONS, key) end
  else
    local expiration = now + ttl
    local head = revision .. '\128' .. string.sub(bytes(expiration), 2) .. created .. version .. flags
    redis.call('SET', VALUES .. key, head .. value, 'PXAT', last_millisecond(expiration))
    redis.call('ZADD', EXPIRATIONS, expiration, key)
  end
  if not lasting then redis.call('ZADD', INDEX, 0, key) end
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
