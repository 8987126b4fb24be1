#!lua
-- PURPOSE: give each chosen run, in order, a slot, a lane, a lease and a worker; re-checks all invariants
-- KEYS: leader events leases free leased fence workers pending_quick pending_detailed running_quick running_detailed deferred_quick deferred_detailed
-- ARGV: epoch bench begin_ms alive_ms quick_max events_max enqueued_at run_prefix lane_prefix worker_prefix job_prefix queue_prefix choices...
-- RETURNS: outcomes status... | stale-epoch
-- `choices...`: id, mode, queue, token, data, timeout of each. Statuses: promoted, not-pending, wrong-mode,
-- occupied (by runs of the other mode), no-slot, no-lane, no-worker, busy-worker, damaged (a key of a wrong type).
local leader, events, leases, free, leased, fence_key, workers = unpack(KEYS, 1, 7)
local epoch, bench, begin_ms, alive_ms, quick_max, events_max, enqueued_at = unpack(ARGV, 1, 7)
local run_prefix, lane_prefix, worker_prefix, job_prefix, queue_prefix = unpack(ARGV, 8, 12)
local pending = {quick = KEYS[8], detailed = KEYS[9]}
local running = {quick = KEYS[10], detailed = KEYS[11]}
local deferred = {quick = KEYS[12], detailed = KEYS[13]}

local holder = redis.call('GET', leader)
if not holder or string.match(holder, ' (%d+)$') ~= epoch then return {'stale-epoch'} end
local held = {quick = redis.call('SCARD', running.quick), detailed = redis.call('SCARD', running.detailed)}
for _, zset in ipairs({leases, workers, deferred.quick, deferred.detailed}) do redis.call('ZCARD', zset) end
for _, set in ipairs({free, leased}) do redis.call('SCARD', set) end
redis.call('XLEN', events)
redis.call('GET', fence_key)
redis.call('LLEN', pending.quick)
local first = redis.call('LINDEX', pending.detailed, 0)
local first_seq = first and tonumber(redis.call('HGET', run_prefix .. first, 'seq'))
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local function is(key, type) local k = redis.call('TYPE', key).ok; return k == type or k == 'none' end

local function promote(id, mode, queue, token, data, timeout)
  local run, job, list, worker = run_prefix .. id, job_prefix .. id, queue_prefix .. queue, worker_prefix .. queue
  local lane = mode == 'quick' and redis.call('SRANDMEMBER', free)
  if not (is(run, 'hash') and is(job, 'hash') and is(list, 'list') and is(worker, 'hash')) then return 'damaged' end
  if lane and not is(lane_prefix .. lane, 'hash') then return 'damaged' end
  local state, really, seq, attempt = unpack(redis.call('HMGET', run, 'state', 'mode', 'seq', 'attempt'))
  if state ~= 'pending' then return 'not-pending' end
  if really ~= mode then return 'wrong-mode' end
  if held.detailed > 0 or (mode == 'detailed' and held.quick > 0) then return 'occupied' end
  if held[mode] >= (mode == 'quick' and tonumber(quick_max) or 1) then return 'no-slot' end
  if mode == 'quick' and not lane then return 'no-lane' end
  local beat = redis.call('ZSCORE', workers, queue)
  local serves, busy = unpack(redis.call('HMGET', worker, 'mode', 'run'))
  if not beat or tonumber(beat) < now - alive_ms or serves ~= mode then return 'no-worker' end
  if busy then return 'busy-worker' end
  if redis.call('LREM', pending[mode], 1, id) == 0 then return 'not-pending' end
  -- From here on only writes.
  local fence = string.format('%d', redis.call('INCR', fence_key))
  redis.call('SADD', running[mode], id)
  redis.call('ZADD', leases, now + begin_ms, id)
  redis.call('HSET', run, 'state', 'promoted', 'token', token, 'fence', fence, 'queue', queue, 'promoted_ms', now, 'attempt', (tonumber(attempt) or 0) + 1)
  redis.call('HDEL', run, 'wait_code', 'wait_reason', 'worker', 'started_ms', 'dscp')
  if lane then
    redis.call('SMOVE', free, leased, lane)
    redis.call('HSET', run, 'dscp', lane)
    redis.call('HSET', lane_prefix .. lane, 'run', id, 'token', token, 'fence', fence, 'since_ms', now)
  end
  redis.call('HSET', worker, 'run', id)
  redis.call('ZREM', deferred[mode], id)
  redis.call('HSET', job, 'data', data, 'origin', queue, 'status', 'queued', 'timeout', timeout, 'result_ttl', 0, 'failure_ttl', 60, 'enqueued_at', enqueued_at)
  redis.call('PERSIST', job)
  redis.call('RPUSH', list, id)
  redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'promoted', 'run', id, 'bench', bench, 'mode', mode, 'queue', queue, 'dscp', lane or '')
  held[mode] = held[mode] + 1
  if mode == 'quick' and first_seq and tonumber(seq) > first_seq then redis.call('HINCRBY', run_prefix .. first, 'overtaken', 1) end
  return 'promoted'
end

local outcomes = {'outcomes'}
for i = 13, #ARGV, 6 do outcomes[#outcomes + 1] = promote(unpack(ARGV, i, i + 5)) end
return outcomes
