-- ARGV: the start and the end of the page, most records. Returns the last id that retention removed, or '', and the records.
return {redis.call('HGET', META, 'trimmed') or '', redis.call('XRANGE', STREAM, ARGV[1], ARGV[2], 'COUNT', page(tonumber(ARGV[3])))}
