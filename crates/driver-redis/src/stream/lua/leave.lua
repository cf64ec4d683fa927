-- ARGV: group, consumer. Makes the pending records of the consumer available to other consumers, and removes it.
if not group() then return 0 end
for _ = 1, 100 do
  local pending = redis.call('XPENDING', STREAM, GROUP, '-', '+', 500, ARGV[2])
  for _, delivery in ipairs(pending) do
    redis.call('XCLAIM', STREAM, GROUP, RELEASED, 0, delivery[1], 'JUSTID')
  end
  if #pending < 500 then break end
end
redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, ARGV[2])
return 1
