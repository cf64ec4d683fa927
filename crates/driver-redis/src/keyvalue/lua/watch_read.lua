-- ARGV: prefix, epoch, id after which changes are read, most changes, bytes that a page should not exceed. Returns the id of the last
-- change, that of the last removed one, and the changes of the page; nil if there is no history of this epoch.
sweep(64)
local watch = redis.call('HMGET', WATCH, 'epoch', 'last', 'removed', 'bytes')
if watch[1] ~= ARGV[2] then return false end
local average = tonumber(watch[4]) / math.max(redis.call('XLEN', CHANGES), 1)
local most = math.floor(math.min(tonumber(ARGV[4]), math.max(tonumber(ARGV[5]) / math.max(average, 1), 1)))
return {watch[2], watch[3], redis.call('XRANGE', CHANGES, '(' .. ARGV[3], '+', 'COUNT', most)}
