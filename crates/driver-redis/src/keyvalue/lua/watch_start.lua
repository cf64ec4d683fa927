-- ARGV: prefix, epoch of a new history, milliseconds after which the history ends. Starts to record changes, or continues to. Returns
-- the epoch, the id of the last change ('' if there is none), and the last revision.
sweep(1000)
if not is_recorded() then
  redis.call('DEL', CHANGES)
  redis.call('HSET', WATCH, 'epoch', ARGV[2], 'last', '', 'removed', '', 'bytes', 0)
end
redis.call('PEXPIRE', WATCH, ARGV[3])
redis.call('PEXPIRE', CHANGES, ARGV[3])
local watch = redis.call('HMGET', WATCH, 'epoch', 'last')
return {watch[1], watch[2], redis.call('GET', REVISION) or '0'}
