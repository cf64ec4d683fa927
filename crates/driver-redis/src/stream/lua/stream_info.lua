-- Returns the last id that a record ever got, the ids of the last and the first existing record, the number of records, their bytes,
-- and the retention limits.
local last = redis.call('XREVRANGE', STREAM, '+', '-', 'COUNT', 1)
local meta = redis.call('HMGET', META, 'last', 'bytes', 'max_age', 'max_records', 'max_bytes')
return {
  meta[1] or '0-0', last[1] and last[1][1] or '', first('-', '+'), redis.call('XLEN', STREAM), meta[2] or '0',
  meta[3] or '', meta[4] or '', meta[5] or '',
}
