-- KEYS: destination, sources. ARGV: ZUNIONSTORE or ZINTERSTORE, milliseconds after which the result expires (0 = never), aggregation,
-- weight of each source. Returns the size of the result.
local arguments = {KEYS[1], #KEYS - 1}
for at = 2, #KEYS do arguments[#arguments + 1] = KEYS[at] end
arguments[#arguments + 1] = 'WEIGHTS'
for at = 4, #ARGV do arguments[#arguments + 1] = ARGV[at] end
arguments[#arguments + 1] = 'AGGREGATE'
arguments[#arguments + 1] = ARGV[3]
local size = redis.call(ARGV[1], unpack(arguments))
if size > 0 and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return size
