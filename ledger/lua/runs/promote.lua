#!lua
-- PURPOSE: give each chosen run, in order, a slot, a lane, a lease and a worker; check all invariants of that host's bench again
-- KEYS: leader events leases free leased fence workers pending_quick pending_detailed pending_bulk running_quick running_detailed running_bulk deferred_quick deferred_detailed deferred_bulk paused seq waiting_quick waiting_detailed waiting_bulk drained queued_questions
-- ARGV: epoch bench begin_ms alive_ms quick_max line_max events_max enqueued_at surplus_prefix run_prefix lane_prefix worker_prefix job_prefix queue_prefix choices...
-- RETURNS: outcomes status... | stale-epoch | paused
-- `choices...`: id, mode, queue, token, data, timeout of each. Statuses: promoted, not-pending, wrong-mode,
-- occupied (by a run that excludes this one), no-slot, no-lane, no-worker (also: its host is drained), busy-worker, damaged (a key of a wrong type).
-- INCLUDE clock
-- INCLUDE leads
-- INCLUDE of_host
-- INCLUDE one_less
-- INCLUDE record

if not leads() then return {'stale-epoch'} end
if call('HLEN', paused) > 0 then return {'paused'} end
local slots = {quick = tonumber(quick_max), detailed = 1, bulk = tonumber(quick_max)}
local held = {} -- by host: the number of runs of each mode that hold its bench
for mode in pairs(running) do
  for _, id in ipairs(call('SMEMBERS', running[mode])) do
    local host = of_host('', record(id, 'host').host)
    held[host] = held[host] or {quick = 0, detailed = 0, bulk = 0}
    held[host][mode] = held[host][mode] + 1
  end
end

-- A key of a wrong type stops the script here, before anything is written: Lua does not roll back.
for _, zset in ipairs({leases, workers, deferred.quick, deferred.detailed, deferred.bulk}) do call('ZCARD', zset) end
call('HLEN', drained)
call('HLEN', queued_questions)
for _, hash in pairs(waiting) do call('HLEN', hash) end
call('XLEN', events)
local waits = call('LLEN', pending.quick) + call('LLEN', pending.detailed) + call('LLEN', pending.bulk) > 0
for name, key in pairs({fence = fence, seq = waits and seq}) do
  if key and not string.match(call('GET', key) or '', '^%d+$') then return redis.error_reply('WRONGTYPE the counter ' .. name .. ' is not a number') end
end

local first = call('LINDEX', pending.detailed, 0)
local overtaken = first and record(first, 'turn', 'seq') or {}
local first_turn = tonumber(overtaken.turn or overtaken.seq or '')

local function any_wrong_type(...)
  for _, reply in ipairs({...}) do
    if type(reply) == 'table' and reply.err then return true end
  end
end

-- Why the run cannot be promoted now; nil when it can.
local function obstacle(id, run, mode, queue, worker, host, lane)
  if any_wrong_type(run, worker, lane, redis.pcall('SCARD', of_host(leased, host)), redis.pcall('LLEN', queue_prefix .. queue), redis.pcall('HLEN', job_prefix .. id),
    type(lane) == 'string' and redis.pcall('HLEN', lane_of(lane_prefix, host, lane))) then return 'damaged' end
  if run.state ~= 'pending' then return 'not-pending' end
  if not tonumber(run.turn or run.seq or '') or not tonumber(run.attempt or 0) then return 'damaged' end
  if lane and not string.match(lane, '^%d%d$') then return 'damaged' end
  if run.mode ~= mode then return 'wrong-mode' end
  local here = held[of_host('', host)]
  local lanes = mode == 'detailed' and call('SCARD', of_host(leased, host)) or 0 -- also those of runs whose host is unknown
  local others = mode == 'detailed' and here.quick + here.bulk or here.detailed
  if others > 0 or lanes > 0 then return 'occupied' end
  local used = mode == 'detailed' and here.detailed or here.quick + here.bulk
  if used >= slots[mode] then return 'no-slot' end
  if mode ~= 'detailed' and not lane then return 'no-lane' end
  local heartbeat, serves, busy = tonumber(call('ZSCORE', workers, queue) or ''), unpack(worker)
  if not heartbeat or heartbeat < now - alive_ms or heartbeat > now + 1000 or serves ~= mode then return 'no-worker' end
  if call('HEXISTS', drained, host or 'local') == 1 then return 'no-worker' end
  if busy then return 'busy-worker' end
  if any_wrong_type(redis.pcall('ZCARD', surplus_prefix .. mode .. ':' .. (run.user or ''))) then return 'damaged' end
end

local function promote(id, mode, queue, token, data, timeout)
  local key, job = run_prefix .. id, job_prefix .. id
  local worker = redis.pcall('HMGET', worker_prefix .. queue, 'mode', 'run', 'host_name')
  local host = worker[3] or nil
  held[of_host('', host)] = held[of_host('', host)] or {quick = 0, detailed = 0, bulk = 0}
  local lane = mode ~= 'detailed' and redis.pcall('SRANDMEMBER', of_host(free, host))
  local run = record(id, 'state', 'mode', 'seq', 'attempt', 'fence', 'wait_code', 'user', 'turn', 'questions')
  local why_not = obstacle(id, run, mode, queue, worker, host, lane)
  if why_not then return why_not end
  if call('LREM', pending[mode], 1, id) == 0 then return 'not-pending' end

  one_less(mode, run.user or '', run.questions)
  local own_fence = string.format('%d', call('INCR', fence))
  call('SADD', running[mode], id)
  call('ZADD', leases, now + begin_ms, id)
  if run.wait_code then call('HDEL', key, 'wait_code', 'wait_reason') end
  call('HSET', key, 'state', 'promoted', 'token', token, 'fence', own_fence, 'queue', queue, 'promoted_ms', now, 'attempt', (run.attempt or 0) + 1, unpack(lane and {'dscp', lane} or {}))
  if is_local(host) then call('HDEL', key, 'host') else call('HSET', key, 'host', host) end
  if lane then
    call('SMOVE', of_host(free, host), of_host(leased, host), lane)
    call('HSET', lane_of(lane_prefix, host, lane), 'run', id, 'token', token, 'fence', own_fence, 'since_ms', now)
  end
  held[of_host('', host)][mode] = held[of_host('', host)][mode] + 1
  if mode ~= 'detailed' and first_turn and tonumber(run.turn or run.seq) > first_turn then redis.pcall('HINCRBY', run_prefix .. first, 'overtaken', 1) end
  call('HSET', worker_prefix .. queue, 'run', id)
  call('ZREM', deferred[mode], id)
  if run.fence then call('HDEL', job, 'worker_name', 'started_at', 'last_heartbeat', 'ended_at') end
  call('HSET', job, 'data', data, 'origin', queue, 'status', 'queued', 'timeout', timeout, 'result_ttl', 0, 'failure_ttl', 60, 'enqueued_at', enqueued_at)
  call('RPUSH', queue_prefix .. queue, id)
  call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'promoted', 'run', id, 'bench', bench, 'mode', mode, 'user', run.user or '', 'queue', queue, 'dscp', lane or '', 'host', host or 'local')
  return 'promoted'
end

local outcomes = {'outcomes'}
for i = choices_at, #ARGV, 6 do outcomes[#outcomes + 1] = promote(unpack(ARGV, i, i + 5)) end
return outcomes
