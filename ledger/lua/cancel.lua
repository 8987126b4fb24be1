#!lua flags=allow-oom
-- PURPOSE: end a run that waits or was just promoted; mark a running one, which its worker then stops
-- KEYS: run leases free leased pending_quick pending_detailed running_quick running_detailed finished events deferred_quick deferred_detailed
-- ARGV: id by events_max run_prefix worker_prefix lane_prefix job_prefix queue_prefix
-- RETURNS: cancelled field value... | cancelling field value... | ended | missing
local run, leases, free, leased = unpack(KEYS, 1, 4)
local pending, running, deferred = {quick = KEYS[5], detailed = KEYS[6]}, {quick = KEYS[7], detailed = KEYS[8]}, {quick = KEYS[11], detailed = KEYS[12]}
local finished, events = KEYS[9], KEYS[10]
local id, by, events_max, run_prefix, worker_prefix, lane_prefix, job_prefix, queue_prefix = unpack(ARGV)

local state, mode, queue, lane, bench, seq, user = unpack(redis.call('HMGET', run, 'state', 'mode', 'queue', 'dscp', 'bench', 'seq', 'user'))
if not state then return {'missing'} end
if state ~= 'pending' and state ~= 'promoted' and state ~= 'running' then return {'ended'} end
for _, zset in ipairs({leases, finished, deferred[mode]}) do redis.call('ZCARD', zset) end
for _, set in ipairs({free, leased, running[mode]}) do redis.call('SCARD', set) end
redis.call('XLEN', events)
local waiting = redis.call('LLEN', pending[mode])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

if state == 'running' then
  redis.call('HSET', run, 'cancelling', 1)
  redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'cancelling', 'run', id, 'bench', bench, 'mode', mode, 'user', user or '', 'by', by)
  return {'cancelling', unpack(redis.call('HGETALL', run))}
end

if state == 'pending' then
  -- Looked for from the nearer end: seq grows along the list, so the middle one says which that is.
  local middle = redis.call('LINDEX', pending[mode], math.floor(waiting / 2))
  local later = middle and tonumber(redis.call('HGET', run_prefix .. middle, 'seq')) < tonumber(seq)
  redis.call('LREM', pending[mode], later and -1 or 1, id)
  redis.call('ZREM', deferred[mode], id)
else
  local given = redis.call('HGET', worker_prefix .. queue, 'run')
  redis.call('LREM', queue_prefix .. queue, 1, id)
  redis.call('SREM', running[mode], id)
  redis.call('ZREM', leases, id)
  if lane then
    redis.call('SMOVE', leased, free, lane)
    redis.call('DEL', lane_prefix .. lane)
  end
  if given == id then redis.call('HDEL', worker_prefix .. queue, 'run') end
end
redis.call('DEL', job_prefix .. id)
redis.call('HSET', run, 'state', 'cancelled', 'finished_ms', now)
redis.call('HDEL', run, 'wait_code', 'wait_reason')
redis.call('ZADD', finished, now, id)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'cancelled', 'run', id, 'bench', bench, 'mode', mode, 'user', user or '', 'by', by)
return {'cancelled', unpack(redis.call('HGETALL', run))}
