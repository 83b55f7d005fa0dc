"""The steps of the Redis store that have to be one: scripts, which Redis runs with nothing in between.

Decides what `sandbox.admission.spending.memory_counts` decides, in Lua. Numbers in Lua are doubles, exact to 2^53: amounts are
bounded far below (`sandbox.config.spending`), and every number is spelled by `%.0f`, never by Lua's own rule, which would round
it.
"""

_COMMON = """
local function number(value) return string.format('%.0f', value) end
local function slots_of(key)
  local flat, slots = redis.call('HGETALL', key), {}
  for at = 1, #flat, 2 do slots[flat[at]] = tonumber(flat[at + 1]) end
  return flat, slots
end
local function judged(slots, slot, span)
  local top, held = slot, 0
  for each in pairs(slots) do if tonumber(each) > top then top = tonumber(each) end end
  for each, amount in pairs(slots) do if tonumber(each) > top - span then held = held + amount end end
  return top, held
end
"""

TAKE = (
    _COMMON
    + """
local now, claims, gates, kept, used_up = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local shut_key, behind_claims = KEYS[claims + 1], 5 + claims * 5
local trials = {}
for at = 1, gates do
  local name = ARGV[behind_claims + at * 2 - 1]
  local shut = redis.call('HGET', shut_key, name)
  if shut then
    local till, since, why = string.match(shut, '^(%-?%d+) (%d+) (.*)$')
    if tonumber(till) < 0 or tonumber(till) > now then return {'shut', name, till, since, why} end
    trials[#trials + 1] = {name, number(now + tonumber(ARGV[behind_claims + at * 2])) .. ' ' .. since .. ' ' .. why}
  end
end
local places, full = {}, {'full'}
for at = 1, claims do
  local base = 5 + (at - 1) * 5
  local flat, slots = slots_of(KEYS[at])
  local top, held = judged(slots, tonumber(ARGV[base + 1]), tonumber(ARGV[base + 4]))
  places[at] = {top, held + tonumber(ARGV[base + 2]), slots}
  local limit, latch = ARGV[base + 3], ARGV[base + 5]
  if limit ~= '' and places[at][2] > tonumber(limit) then
    full[#full + 1] = number(at - 1)
    full[#full + 1] = number(#flat)
    for _, each in ipairs(flat) do full[#full + 1] = each end
    if latch ~= '' then redis.call('HSETNX', shut_key, latch, '-1 ' .. number(now) .. ' ' .. used_up) end
  end
end
if #full > 1 then return full end
local taken = {'taken'}
for at = 1, claims do
  local base, top = 5 + (at - 1) * 5, places[at][1]
  for slot in pairs(places[at][3]) do
    if tonumber(slot) <= top - tonumber(ARGV[base + 4]) then redis.call('HDEL', KEYS[at], slot) end
  end
  redis.call('HINCRBY', KEYS[at], number(top), ARGV[base + 2])
  redis.call('PEXPIRE', KEYS[at], kept)
  taken[#taken + 1] = number(top)
  taken[#taken + 1] = number(places[at][2])
end
for _, trial in ipairs(trials) do
  redis.call('HSET', shut_key, trial[1], trial[2])
  taken[#taken + 1] = trial[1]
end
return taken
"""
)

ADD = (
    _COMMON
    + """
local changes, rows, kept, hours_kept, held = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], {}
for at = 1, changes do
  local base = 4 + (at - 1) * 3
  redis.call('HINCRBY', KEYS[at], ARGV[base + 1], ARGV[base + 2])
  redis.call('PEXPIRE', KEYS[at], kept)
end
for at = 1, changes do
  local base = 4 + (at - 1) * 3
  local _, slots = slots_of(KEYS[at])
  local _, sum = judged(slots, tonumber(ARGV[base + 1]), tonumber(ARGV[base + 3]))
  held[at] = number(sum)
end
local base = 4 + changes * 3
for row = 1, rows do
  local hour = KEYS[changes + tonumber(ARGV[base + 1])]
  redis.call('HINCRBY', hour, ARGV[base + 2], ARGV[base + 3])
  redis.call('PEXPIRE', hour, hours_kept)
  base = base + 3
end
return held
"""
)

SHUT = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before or string.sub(before, 1, 3) ~= '-1 ' then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 0
"""
