-- KEYS[3]: the set of streams with retention limits. ARGV: name of the stream; max_age in milliseconds, max_records, max_bytes
-- ('' = no limit).
local limited = false
for i, field in ipairs({'max_age', 'max_records', 'max_bytes'}) do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', META, field)
  else
    limited = true
    redis.call('HSET', META, field, ARGV[i + 1])
  end
end
redis.call(limited and 'SADD' or 'SREM', KEYS[3], ARGV[1])
return 1
