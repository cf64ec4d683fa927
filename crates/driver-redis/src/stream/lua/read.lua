-- ARGV: where the page begins and ends, most records. Gives the last id that retention removed, and the records.
return {redis.call('HGET', META, 'trimmed') or '', redis.call('XRANGE', STREAM, ARGV[1], ARGV[2], 'COUNT', page(tonumber(ARGV[3])))}
