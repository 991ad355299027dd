"""Lua scripts of the run board. Redis executes each as one step, by its own clock."""

from __future__ import annotations

_NOW = "local t = redis.call('TIME'); local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
# A time beyond the maximum distance was stored before the clock was set back.
_CAPPED = """
local function cap(zset, farthest)
  for _, ref in ipairs(redis.call('ZRANGEBYSCORE', zset, '(' .. farthest, '+inf', 'LIMIT', 0, 100)) do
    redis.call('ZADD', zset, farthest, ref)
  end
end
"""
# Takes the first queued run whose collection has no lease: KEYS queue, running; ARGV worker, lease ms, prefix.
TAKE = (
    _NOW
    + """
for _, ref in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
  local collection = string.match(ref, '^(.*)/[^/]*$')
  local lease = ARGV[3] .. ':lease:' .. collection
  if redis.call('SET', lease, ARGV[1], 'NX', 'PX', ARGV[2]) then
    redis.call('ZREM', KEYS[1], ref)
    redis.call('ZADD', KEYS[2], now + ARGV[2], ref)
    return {ref, redis.call('INCR', ARGV[3] .. ':fence:' .. collection)}
  end
end
return nil
"""
)
# Raises the epoch above that of the store: KEYS fence; ARGV floor.
RAISE = """
local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
if epoch <= tonumber(ARGV[1]) then epoch = tonumber(ARGV[1]) + 1; redis.call('SET', KEYS[1], epoch) end
return epoch
"""
# Renews the lease, even if Redis is out of memory: KEYS lease, running, run; ARGV worker, lease ms, ref, lifetime s,
# field, value, ...
RENEW = (
    _NOW
    + """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.pcall('ZADD', KEYS[2], now + ARGV[2], ARGV[3])
redis.pcall('HSET', KEYS[3], 'worker', ARGV[1], 'heartbeat_ms', now, unpack(ARGV, 5))
redis.call('EXPIRE', KEYS[3], ARGV[4])
return 1
"""
)
# KEYS lease, running; ARGV worker, ref.
RELEASE = """
redis.call('ZREM', KEYS[2], ARGV[2])
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
# Requeues runs of lost workers after their lease: KEYS running, queue; ARGV lease ms, prefix, longest delay ms.
REAP = (
    _NOW
    + _CAPPED
    + """
cap(KEYS[1], now + ARGV[1])
cap(KEYS[2], now + ARGV[3])
for _, zset in ipairs(KEYS) do
  for _, ref in ipairs(redis.call('ZRANGE', zset, 0, 999)) do
    local lease = ARGV[2] .. ':lease:' .. string.match(ref, '^(.*)/[^/]*$')
    if redis.call('PTTL', lease) > tonumber(ARGV[1]) then redis.call('PEXPIRE', lease, ARGV[1]) end
  end
end
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
for _, ref in ipairs(gone) do redis.call('ZREM', KEYS[1], ref); redis.call('ZADD', KEYS[2], now, ref) end
return gone
"""
)
# Requeues the runs of a killed worker: KEYS running, queue; ARGV worker, prefix.
RETURN = (
    _NOW
    + """
local returned = {}
for _, ref in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local lease = ARGV[2] .. ':lease:' .. string.match(ref, '^(.*)/[^/]*$')
  if redis.call('GET', lease) == ARGV[1] then
    redis.call('DEL', lease); redis.call('ZREM', KEYS[1], ref); redis.call('ZADD', KEYS[2], now, ref)
    table.insert(returned, ref)
  end
end
return returned
"""
)
# Queues a run, unless a worker has it: KEYS queue, running, run; ARGV ref, delay ms, traceparent or '', lifetime s.
SUBMIT = (
    _NOW
    + """
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
if ARGV[3] ~= '' then
  redis.pcall('HSET', KEYS[3], 'traceparent', ARGV[3])
  redis.pcall('EXPIRE', KEYS[3], ARGV[4])
end
return redis.call('ZADD', KEYS[1], 'NX', now + ARGV[2], ARGV[1])
"""
)
