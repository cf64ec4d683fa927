-- ARGV: prefix; number of conditions; each as key, test, operand; then twice (if they hold, if not): number of operations,
-- each as 's' key value ttl, 'g' key or 'd' key. Revisions are 8 bytes, so that text compares as they do.
-- Gives: 1 if they held; the revision of what was stored, or nothing; and for each operation its outcome.
local at = 1
local function read()
  at = at + 1
  return ARGV[at]
end

local tests = {
  exists = function(revision, operand) return (revision ~= string.rep('\0', 8)) == (operand == '1') end,
  eq = function(revision, operand) return revision == operand end,
  ne = function(revision, operand) return revision ~= operand end,
}
-- Lua compares text by the locale, so revisions are compared byte by byte.
local function less(a, b)
  for i = 1, 8 do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return false
end
tests.lt = less
tests.gt = function(revision, operand) return less(operand, revision) end

local held = true
for _ = 1, tonumber(read()) do
  local key, test, operand = read(), read(), read()
  if test == 'value' then
    local stored = redis.call('GET', VALUES .. key)
    held = held and stored and string.sub(stored, 17) == operand
  else
    local found = head(key)
    held = held and tests[test](found and string.sub(found, 1, 8) or string.rep('\0', 8), operand)
  end
end

local function operations()
  local list = {}
  for i = 1, tonumber(read()) do
    local kind = read()
    if kind == 's' then list[i] = {kind, read(), read(), tonumber(read())} else list[i] = {kind, read()} end
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
local answer = {held and 1 or 0, revision and struct.pack('>I8', revision) or ''}
for i, operation in ipairs(list) do
  local kind, key = operation[1], operation[2]
  if kind == 's' then
    store(key, operation[3], operation[4], revision)
    answer[i + 2] = ''
  elseif kind == 'g' then
    answer[i + 2] = redis.call('GET', VALUES .. key)
  else
    answer[i + 2] = delete(key) or ''
  end
end
sweep(8)
return answer
