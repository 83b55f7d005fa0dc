"""The steps of the Redis store that have to be one, as scripts: Redis runs a script with nothing in between.

    rows:TABLE   hash     a row's number → its columns, as JSON
    log          zset     `TABLE-INDEX:ROW` → the change that touched it last
    meta         hash     `head`, the number of changes; `floor`, below which `log` does not reach; `writer` of the last change;
                          `id` and `schema` of the store
    lock         string   who is changing something, until it says so or its time is over

Rules: who reads gets the rows of one moment; who writes holds the lock, has seen every change before its own, and leaves all of
its rows or none.
"""

from __future__ import annotations

# KEYS: meta, log, lock, then the tables.
_TOLD = """
local function told(since)
  local head = tonumber(redis.call('HGET', KEYS[1], 'head') or '0') or 0
  local answer = {head, 'same'}
  if since == head then return answer end
  if since > head or since < (tonumber(redis.call('HGET', KEYS[1], 'floor') or '0') or 0) then
    answer[2] = 'all'
    for at = 4, #KEYS do answer[#answer + 1] = redis.call('HGETALL', KEYS[at]) end
    return answer
  end
  answer[2] = 'some'
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf')) do
    local index, row = string.match(member, '^(%d+):(%d+)$')
    answer[#answer + 1] = {tonumber(index), row, redis.call('HGET', KEYS[4 + index], row)}
  end
  return answer
end
"""

PULL = _TOLD + "return told(tonumber(ARGV[1]))"
"""Of `since`: what is other than after that change."""

BEGIN = (
    _TOLD
    + """
local holder = redis.call('GET', KEYS[3])
if holder and holder ~= ARGV[2] then return {-1} end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
return told(tonumber(ARGV[1]))
"""
)
"""Of `since`, `token`, `milliseconds`: take the lock, and tell the same; {-1} where another one has it."""

END = "if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end"
"""Of `token`: give the lock back."""

COMMIT = """
local head = tonumber(redis.call('HGET', KEYS[1], 'head') or '0') or 0
if (redis.call('GET', KEYS[3]) or ARGV[1]) ~= ARGV[1] or head ~= tonumber(ARGV[2]) then return 0 end
head = head + 1
if ARGV[4] == 'anew' then
  redis.call('DEL', KEYS[2], unpack(KEYS, 4))
  redis.call('HSET', KEYS[1], 'floor', head)
end
for at = 6, #ARGV, 3 do
  local key = KEYS[4 + ARGV[at]]
  if ARGV[at + 2] == '' then redis.call('HDEL', key, ARGV[at + 1]) else redis.call('HSET', key, ARGV[at + 1], ARGV[at + 2]) end
  redis.call('ZADD', KEYS[2], head, ARGV[at] .. ':' .. ARGV[at + 1])
end
redis.call('HSET', KEYS[1], 'head', head, 'writer', ARGV[1])
local most = tonumber(ARGV[5])
if redis.call('ZCARD', KEYS[2]) > most then
  local cut = redis.call('ZRANGE', KEYS[2], 0, most / 2, 'WITHSCORES')
  redis.call('HSET', KEYS[1], 'floor', cut[#cut])
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, most / 2)
end
redis.call('DEL', KEYS[3])
redis.call('PUBLISH', ARGV[3], head)
return head
"""
"""Of `token`, `head`, `channel`, whether the rows are all (`anew`) or some, how long the log may get (who is further behind reads
everything), and of each row its table, its number and its columns, empty where it is gone; 0 where another one has the lock by
now, or wrote."""
