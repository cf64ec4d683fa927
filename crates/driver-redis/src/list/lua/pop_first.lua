-- KEYS: lists. ARGV: LPOP or RPOP. Returns the number of the first list that has an element, from 1, and the element; nothing if
-- all lists are absent.
for at, key in ipairs(KEYS) do
  local value = redis.call(ARGV[1], key)
  if value then return {at, value} end
end
return {}
