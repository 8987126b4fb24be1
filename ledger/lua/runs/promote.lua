#!lua
-- PURPOSE: give each chosen run, in order, a slot, a lane, a lease and a worker; check all invariants again
-- KEYS: leader events leases free leased fence workers pending_quick pending_detailed running_quick running_detailed deferred_quick deferred_detailed paused seq waiting_quick waiting_detailed
-- ARGV: epoch bench begin_ms alive_ms quick_max line_max events_max enqueued_at surplus_prefix run_prefix lane_prefix worker_prefix job_prefix queue_prefix choices...
-- RETURNS: outcomes status... | stale-epoch | paused
-- `choices...`: id, mode, queue, token, data, timeout of each. Statuses: promoted, not-pending, wrong-mode,
-- occupied (by runs of the other mode), no-slot, no-lane, no-worker, busy-worker, damaged (a key of a wrong type).
local call, leader, events, leases, free, leased, fence_key, workers = redis.call, unpack(KEYS, 1, 7)
local epoch, bench, begin_ms, alive_ms, quick_max, line_max, events_max, enqueued_at = unpack(ARGV, 1, 8)
local surplus_prefix, run_prefix, lane_prefix, worker_prefix, job_prefix, queue_prefix = unpack(ARGV, 9, 14)
local pending, running = {quick = KEYS[8], detailed = KEYS[9]}, {quick = KEYS[10], detailed = KEYS[11]}
local deferred, slots = {quick = KEYS[12], detailed = KEYS[13]}, {quick = tonumber(quick_max), detailed = 1}
local seq_key, waiting = KEYS[15], {quick = KEYS[16], detailed = KEYS[17]}

if string.match(call('GET', leader) or '', ' (%d+)$') ~= epoch then return {'stale-epoch'} end
if call('HLEN', KEYS[14]) > 0 then return {'paused'} end
local held = {quick = call('SCARD', running.quick), detailed = call('SCARD', running.detailed)}
for _, zset in ipairs({leases, workers, deferred.quick, deferred.detailed}) do call('ZCARD', zset) end
for _, read in ipairs({{'SCARD', free}, {'SCARD', leased}, {'XLEN', events}, {'LLEN', pending.quick}, {'HLEN', waiting.quick}, {'HLEN', waiting.detailed}}) do call(unpack(read)) end
local first = call('LINDEX', pending.detailed, 0)
local first_at = first and redis.pcall('HMGET', run_prefix .. first, 'turn', 'seq') or {}
local first_turn = tonumber(first_at[1] or first_at[2] or '')
for name, key in pairs({fence = fence_key, seq = seq_key}) do
  local waits = name == 'fence' or call('LLEN', pending.quick) + call('LLEN', pending.detailed) > 0
  if waits and not string.match(call('GET', key) or '', '^%d+$') then return redis.error_reply('WRONGTYPE the counter ' .. name .. ' is not a number') end
end
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

-- INCLUDE one_less

local function promote(id, mode, queue, token, data, timeout)
  local run, job, list, worker = run_prefix .. id, job_prefix .. id, queue_prefix .. queue, worker_prefix .. queue
  local lane = mode == 'quick' and call('SRANDMEMBER', free)
  local was = redis.pcall('HMGET', run, 'state', 'mode', 'seq', 'attempt', 'fence', 'wait_code', 'user', 'turn')
  local at = redis.pcall('HMGET', worker, 'mode', 'run')
  for _, reply in ipairs({was, at, redis.pcall('LLEN', list), redis.pcall('HLEN', job), lane and redis.pcall('HLEN', lane_prefix .. lane)}) do
    if type(reply) == 'table' and reply.err then return 'damaged' end
  end
  local state, really, seq, attempt, fenced, explained, user, turn = unpack(was)
  if state ~= 'pending' then return 'not-pending' end
  if not tonumber(turn or seq or '') or not tonumber(attempt or 0) or lane and not string.match(lane, '^%d%d$') then return 'damaged' end
  if really ~= mode then return 'wrong-mode' end
  if held.detailed > 0 and mode == 'quick' or held.quick > 0 and mode == 'detailed' then return 'occupied' end
  if held[mode] >= slots[mode] then return 'no-slot' end
  if mode == 'quick' and not lane then return 'no-lane' end
  local beat, serves, busy = call('ZSCORE', workers, queue), unpack(at)
  if not beat or tonumber(beat) < now - alive_ms or tonumber(beat) > now + 1000 or serves ~= mode then return 'no-worker' end
  if busy then return 'busy-worker' end
  if type(redis.pcall('ZCARD', surplus_prefix .. mode .. ':' .. (user or ''))) == 'table' then return 'damaged' end
  if call('LREM', pending[mode], 1, id) == 0 then return 'not-pending' end

  one_less(mode, user or '')
  local fence = string.format('%d', call('INCR', fence_key))
  call('SADD', running[mode], id)
  call('ZADD', leases, now + begin_ms, id)
  if explained then call('HDEL', run, 'wait_code', 'wait_reason') end
  call('HSET', run, 'state', 'promoted', 'token', token, 'fence', fence, 'queue', queue, 'promoted_ms', now, 'attempt', (attempt or 0) + 1)
  if lane then
    call('SMOVE', free, leased, lane)
    call('HSET', run, 'dscp', lane)
    call('HSET', lane_prefix .. lane, 'run', id, 'token', token, 'fence', fence, 'since_ms', now)
  end
  held[mode] = held[mode] + 1
  if mode == 'quick' and first_turn and tonumber(turn or seq) > first_turn then redis.pcall('HINCRBY', run_prefix .. first, 'overtaken', 1) end
  call('HSET', worker, 'run', id)
  call('ZREM', deferred[mode], id)
  if fenced then call('HDEL', job, 'worker_name', 'started_at', 'last_heartbeat', 'ended_at') end
  call('HSET', job, 'data', data, 'origin', queue, 'status', 'queued', 'timeout', timeout, 'result_ttl', 0, 'failure_ttl', 60, 'enqueued_at', enqueued_at)
  call('RPUSH', list, id)
  call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'promoted', 'run', id, 'bench', bench, 'mode', mode, 'user', user or '', 'queue', queue, 'dscp', lane or '')
  return 'promoted'
end

local outcomes = {'outcomes'}
for i = 15, #ARGV, 6 do outcomes[#outcomes + 1] = promote(unpack(ARGV, i, i + 5)) end
return outcomes
