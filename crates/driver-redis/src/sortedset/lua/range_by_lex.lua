-- KEYS: sorted set. ARGV: lower and upper bound (as in ZRANGEBYLEX), 1 from the upper bound, members to skip, most members, bytes
-- after which the page ends. Returns 1 if there may be more members or else 0, and then members.
local most, budget = tonumber(ARGV[5]), tonumber(ARGV[6])
local members
if ARGV[3] == '1' then
  members = redis.call('ZREVRANGEBYLEX', KEYS[1], ARGV[2], ARGV[1], 'LIMIT', ARGV[4], most)
else
  members = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', ARGV[4], most)
end
local page = {#members == most and 1 or 0}
for at, member in ipairs(members) do
  page[#page + 1] = member
  budget = budget - #member
  if budget <= 0 and at < #members then
    page[1] = 1
    break
  end
end
return page
