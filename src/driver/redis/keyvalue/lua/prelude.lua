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

-- Numbers are 8 bytes, the greatest first. Text compares as they do, as long as it is compared byte by byte.
local NONE = string.rep('\0', 8)
local function bytes(number) return struct.pack('>I8', number) end

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
  return string.sub(found, 1, 8), bytes(1)
end

-- The instant from which on Redis must not find a key is a millisecond behind the last one at which it does.
local function last_millisecond(expiration)
  return string.format('%.0f', expiration - 1)
end

-- Stores a value over what was found; ttl in milliseconds, 0 = forever; flags are 8 bytes.
local function store(key, found, value, ttl, flags, revision)
  local created, version = bytes(revision), NONE
  if found then created, version = origin(found) end
  local expiration = ttl == 0 and 0 or now + ttl
  local stored = bytes(revision) .. '\128' .. string.sub(bytes(expiration), 2)
    .. created .. bytes(struct.unpack('>I8', version) + 1) .. flags .. value
  if ttl == 0 then
    redis.call('SET', VALUES .. key, stored)
    redis.call('ZREM', EXPIRATIONS, key)
  else
    redis.call('SET', VALUES .. key, stored, 'PXAT', last_millisecond(expiration))
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
