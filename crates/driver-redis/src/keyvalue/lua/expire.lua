-- ARGV: prefix, key, ttl in milliseconds (0 = never expires). Returns the former expiration (8 bytes) and the new one, or nil if
-- the key does not exist. The first byte of the stored expiration does not change: it is that of the layout.
local key, ttl = ARGV[2], tonumber(ARGV[3])
local found = head(key)
if not found then return false end
if ttl == 0 then
  redis.call('SETRANGE', VALUES .. key, 9, NEVER)
  redis.call('PERSIST', VALUES .. key)
  redis.call('ZREM', EXPIRATIONS, key)
  return {string.sub(found, 9, 16), 0}
end
local expiration = now + ttl
redis.call('SETRANGE', VALUES .. key, 9, string.sub(bytes(expiration), 2))
redis.call('PEXPIREAT', VALUES .. key, last_millisecond(expiration))
redis.call('ZADD', EXPIRATIONS, expiration, key)
sweep(8)
return {string.sub(found, 9, 16), expiration}
