-- ARGV: prefix, epoch, id after which changes are read, most changes, bytes after which the page ends. Returns the id of the last
-- change, that of the last removed one, and the changes of the page; nil if there is no history of this epoch.
sweep(64)
local watch = redis.call('HMGET', WATCH, 'epoch', 'last', 'removed')
if watch[1] ~= ARGV[2] then return false end
-- Only a few at a time, because values may be large.
local STEP = 16
local page, from, most, budget = {}, ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
repeat
  local changes = redis.call('XRANGE', CHANGES, '(' .. from, '+', 'COUNT', STEP)
  for _, change in ipairs(changes) do
    if #page >= most or budget <= 0 then break end
    page[#page + 1] = change
    budget = budget - #change[2][4] - #change[2][6]
    from = change[1]
  end
until #changes < STEP or #page >= most or budget <= 0
return {watch[2], watch[3], page}
