-- ARGV: prefix; number of conditions; each as key, fact, test, operand; then the operations if all conditions are true, and those
-- if not: their number, each as 's' key value ttl flags, 'g' key or 'd' key.
-- Returns 1 if all conditions were true or else 0; the revision of the stored values, or ''; and the outcome of each operation.
local at = 1
local function read()
  at = at + 1
  return ARGV[at]
end

-- The facts that conditions compare, 8 bytes each.
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
-- Compares byte by byte: Lua compares text by the locale.
local function less(a, b)
  for i = 1, 8 do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return false
end
tests.lt = less
tests.gt = function(number, operand) return less(operand, number) end

local holds = true
for _ = 1, tonumber(read()) do
  local key, fact, test, operand = read(), read(), read(), read()
  if fact == 'value' then
    local stored = redis.call('GET', VALUES .. key)
    holds = holds and stored and string.sub(stored, complete(stored) and 41 or 17) == operand
  else
    holds = holds and tests[test](facts[fact](head(key)), operand)
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
if not holds then list = other end
local revision
for _, operation in ipairs(list) do
  -- This is the first write, so a full server refuses the whole transaction.
  if operation[1] == 's' then
    revision = next_revision()
    break
  end
end
local reply = {holds and 1 or 0, revision or ''}
for i, operation in ipairs(list) do
  local kind, key = operation[1], operation[2]
  if kind == 's' then
    store(key, head(key), operation[3], operation[4], operation[5], revision)
    reply[i + 2] = ''
  elseif kind == 'g' then
    reply[i + 2] = redis.call('GET', VALUES .. key)
  else
    reply[i + 2] = delete(key) or ''
  end
end
sweep(8)
return reply
