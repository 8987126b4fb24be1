#!lua flags=allow-oom
-- PURPOSE: end a waiting or just promoted run; mark a running one, which its worker then stops
-- KEYS: run leases free leased pending_quick pending_detailed running_quick running_detailed finished events deferred_quick deferred_detailed seq waiting_quick waiting_detailed
-- ARGV: id by line_max events_max surplus_prefix run_prefix worker_prefix lane_prefix job_prefix queue_prefix
-- RETURNS: cancelled field value... | cancelling field value... | ended | missing
local call, run, leases, free, leased = redis.call, unpack(KEYS, 1, 4)
local pending, running, deferred = {quick = KEYS[5], detailed = KEYS[6]}, {quick = KEYS[7], detailed = KEYS[8]}, {quick = KEYS[11], detailed = KEYS[12]}
local finished, events, seq_key, waiting = KEYS[9], KEYS[10], KEYS[13], {quick = KEYS[14], detailed = KEYS[15]}
local id, by, line_max, events_max, surplus_prefix, run_prefix, worker_prefix, lane_prefix, job_prefix, queue_prefix = unpack(ARGV)

local state, mode, queue, lane, bench, seq, user, turn = unpack(redis.call('HMGET', run, 'state', 'mode', 'queue', 'dscp', 'bench', 'seq', 'user', 'turn'))
if not state then return {'missing'} end
if state ~= 'pending' and state ~= 'promoted' and state ~= 'running' then return {'ended'} end
for _, zset in ipairs({leases, finished, deferred[mode]}) do redis.call('ZCARD', zset) end
for _, set in ipairs({free, leased, running[mode]}) do redis.call('SCARD', set) end
redis.call('XLEN', events)
local length, surplus = redis.call('LLEN', pending[mode]), surplus_prefix .. mode .. ':' .. (user or '')
redis.call('ZCARD', surplus)
redis.call('HLEN', waiting[mode])
redis.call('GET', seq_key)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

-- INCLUDE one_less

if state == 'running' then
  redis.call('HSET', run, 'cancelling', 1)
  redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'cancelling', 'run', id, 'bench', bench, 'mode', mode, 'user', user or '', 'by', by)
  return {'cancelling', unpack(redis.call('HGETALL', run))}
end

if state == 'pending' then
  if redis.call('ZREM', surplus, id) == 0 then
    -- Searched from the nearer end: the turn increases along the queue, so the run in the middle shows which end that is.
    local middle = redis.call('LINDEX', pending[mode], math.floor(length / 2))
    local at = middle and redis.pcall('HMGET', run_prefix .. middle, 'turn', 'seq') or {}
    redis.call('LREM', pending[mode], (tonumber(at[1] or at[2] or '') or 0) < (tonumber(turn or seq or '') or 0) and -1 or 1, id)
  end
  one_less(mode, user or '')
  redis.call('ZREM', deferred[mode], id)
else
  local given = redis.call('HGET', worker_prefix .. queue, 'run')
  redis.call('LREM', queue_prefix .. queue, 1, id)
  redis.call('SREM', running[mode], id)
  redis.call('ZREM', leases, id)
  if lane and redis.pcall('HGET', lane_prefix .. lane, 'run') == id then
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
