-- ARGV: prefix; number of conditions; each as key, fact, test, operand; then twice (if they hold, if not): number of
-- operations, each as 's' key value ttl flags, 'g' key or 'd' key.
-- Gives: 1 if they held; the revision of what was stored, or nothing; and for each operation its outcome.
local at = 1
local function read()
  at = at + 1
  return ARGV[at]
end

-- What is compared, 8 bytes.
local facts = {
  revision = revision_of,
  create_revision = function(found) return (origin(found)) end,
  version = function(found) return select(2, origin(found)) end,
}
local tests = {
  exists = function(number, operand) return (number ~= NONE) == (operand == '1') end,
  eq = function(number, operand) return number == operand end,
  ne = function(number, operand) return number ~= operand end,
}
-- Lua compares text by the locale, so numbers are compared byte by byte.
local function less(a, b)
  for i = 1, 8 do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return false
end
tests.lt = less
tests.gt = function(number, operand) return less(operand, number) end

local held = true
for _ = 1, tonumber(read()) do
  local key, fact, test, operand = read(), read(), read(), read()
  if fact == 'value' then
    local stored = redis.call('GET', VALUES .. key)
    held = held and stored and string.sub(stored, complete(stored) and 41 or 17) == operand
  else
    held = held and tests[test](facts[fact](head(key)), operand)
  end
end

local function operations()
  local list = {}
  for i = 1, tonumber(read()) do
    local kind = read()
    if kind == 's' then list[i] = {kind, read(), read(), tonumber(read()), read()} else list[i] = {kind, read()} end
  end
  return list
end

local list, other = operations(), operations()
if not held then list = other end
local revision
for _, operation in ipairs(list) do
  -- Asked for before anything is written, so that a full server refuses the whole.
  if operation[1] == 's' then
    revision = next_revision()
    break
  end
end
local answer = {held and 1 or 0, revision or ''}
for i, operation in ipairs(list) do
  local kind, key = operation[1], operation[2]
  if kind == 's' then
    store(key, head(key), operation[3], operation[4], operation[5], revision)
    answer[i + 2] = ''
  elseif kind == 'g' then
    answer[i + 2] = redis.call('GET', VALUES .. key)
  else
    answer[i + 2] = delete(key) or ''
  end
end
sweep(8)
return answer
