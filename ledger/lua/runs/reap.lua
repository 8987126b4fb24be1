#!lua flags=allow-oom
-- PURPOSE: take back overdue attempts (or the one that its worker returns): their runs are requeued at the front, or ended
-- KEYS: leader leases free leased pending_quick pending_detailed pending_bulk running_quick running_detailed running_bulk finished events deferred_quick deferred_detailed deferred_bulk waiting_quick waiting_detailed waiting_bulk fence queued_questions
-- ARGV: epoch now_ms id token why counts fence_seen attempts_max events_max run_prefix worker_prefix lane_prefix job_prefix queue_prefix origin_quick origin_detailed origin_bulk
-- RETURNS: reaped id queue outcome... | stale-epoch | refused
-- With an epoch: all attempts past their deadline, 64 at a time. `now_ms`, unless empty, is the leader's own estimate of the time:
-- when the server's clock has been set forward, leases expire by the earlier of the two; otherwise all would expire at once. With
-- id and token: that attempt. Outcomes: pending, failed (no attempts left), cancelled (the run was being cancelled). A promotion
-- that no worker began costs no attempt, and its worker gets no other run until it has shown that it listens (`missed_ms`). An
-- attempt that its worker returns with `counts` 0 costs none either. `fence_seen`: the bench has seen this fence, so later ones are
-- higher. The event's `lost` names what expired, lease or begin; it is empty if the worker returned the run.
-- A run whose record is missing or damaged, or has a key of a wrong type, is skipped for a second with the outcome damaged.
-- INCLUDE clock
-- INCLUDE leads
-- INCLUDE record
-- INCLUDE of_host
-- INCLUDE release_slot

local due = {id}
if epoch ~= '' then
  if not leads() then return {'stale-epoch'} end
  due = call('ZRANGEBYSCORE', leases, '-inf', math.min(now, tonumber(now_ms) or now), 'LIMIT', 0, 64)
else
  local state, holder = unpack(call('HMGET', run_prefix .. id, 'state', 'token'))
  if state ~= 'running' or holder ~= token then return {'refused'} end
end

-- A key of a wrong type stops the script here, before anything is written: Lua does not roll back.
for _, zset in ipairs({leases, finished, deferred.quick, deferred.detailed, deferred.bulk}) do call('ZCARD', zset) end
for _, set in ipairs({free, leased, running.quick, running.detailed, running.bulk}) do call('SCARD', set) end
for _, list in pairs(pending) do call('LLEN', list) end
for _, hash in pairs(waiting) do call('HLEN', hash) end
call('XLEN', events)
call('GET', fence)
call('HLEN', queued_questions)

local function turn_of(id)
  local run = record(id, 'turn', 'seq')
  return tonumber(run.turn or run.seq or '') or 0
end

-- To its old place in the queue. Only other returned runs are in front of the place, so the search is short.
local function to_front(list, id, turn)
  local place, other = 0, call('LINDEX', list, 0)
  while other and turn_of(other) < turn do
    place = place + 1
    other = call('LINDEX', list, place)
  end
  if other then call('LINSERT', list, 'BEFORE', other, id) else call('RPUSH', list, id) end
end

local function is_sound(id, run)
  local holds = run.state == 'promoted' or run.state == 'running' and run.worker
  if not (holds and pending[run.mode or ''] and run.queue and tonumber(run.attempt or '') and tonumber(run.turn or run.seq or '')) then return false end
  local kinds = {[job_prefix .. id] = 'hash', [queue_prefix .. run.queue] = 'list', [worker_prefix .. run.queue] = 'hash', [lane_of(lane_prefix, run.host, run.dscp or '')] = 'hash', [of_host(free, run.host)] = 'set', [of_host(leased, run.host)] = 'set'}
  for key, kind in pairs(kinds) do
    local is = call('TYPE', key).ok
    if is ~= kind and is ~= 'none' then return false end
  end
  return true
end

-- What the run becomes, the attempts that count, and why it lost this one.
local function decide(run, begun)
  local attempt = begun and counts ~= '0' and run.attempt or run.attempt - 1
  local reason = why
  if reason == '' then reason = begun and 'the lease of ' .. run.worker .. ' ran out' or 'no worker started it in time' end
  if run.cancelling then return 'cancelled', attempt, reason end
  if begun and tonumber(attempt) >= tonumber(attempts_max) then return 'failed', attempt, reason end
  return 'pending', attempt, reason
end

local function wait_again(id, run)
  local key, mode, user = run_prefix .. id, run.mode, run.user or ''
  call('HDEL', key, 'dscp', 'host', 'queue', 'worker', 'started_ms', 'promoted_ms')
  to_front(pending[mode], id, tonumber(run.turn or run.seq))
  call('HSET', waiting[mode], user, (tonumber(call('HGET', waiting[mode], user)) or 0) + 1)
  if mode == 'bulk' then call('HSET', queued_questions, user, (tonumber(call('HGET', queued_questions, user)) or 0) + (tonumber(run.questions) or 1)) end
  call('HSET', job_prefix .. id, 'status', 'deferred', 'origin', origin[mode])
  call('ZADD', deferred[mode], t[1], id)
end

local function off_the_bench(id)
  local key, run = run_prefix .. id, record(id, 'state', 'mode', 'seq', 'attempt', 'queue', 'dscp', 'bench', 'worker', 'cancelling', 'user', 'started_ms', 'turn', 'host', 'questions')
  if not is_sound(id, run) then call('ZADD', leases, now + 1000, id) return '', 'damaged' end
  local begun = run.state == 'running'
  local outcome, attempt, reason = decide(run, begun)

  if release_slot(id, run.mode, run.queue, run.host, run.dscp) and not begun then call('HSET', worker_prefix .. run.queue, 'missed_ms', now) end
  call('LREM', queue_prefix .. run.queue, 1, id)
  call('HSET', key, 'state', outcome, 'attempt', attempt)
  call('HDEL', key, 'token')
  if outcome == 'pending' then
    wait_again(id, run)
  else
    call('HSET', key, 'finished_ms', now)
    if outcome == 'failed' then call('HSET', key, 'error', reason .. ' (attempt ' .. attempt .. ' of ' .. attempts_max .. ')') end
    call('DEL', job_prefix .. id)
    call('ZADD', finished, now, id)
  end
  call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', outcome == 'pending' and 'returned' or outcome,
    'run', id, 'bench', run.bench, 'mode', run.mode, 'user', run.user or '', 'why', reason, 'run_ms', begun and now - (tonumber(run.started_ms) or now) or 0,
    'lost', epoch ~= '' and (begun and 'lease' or 'begin') or '')
  return run.queue, outcome
end

if tonumber(fence_seen) > tonumber(call('GET', fence) or 0) then call('SET', fence, fence_seen) end
local reply = {'reaped'}
for _, lost in ipairs(due) do
  local queue, outcome = off_the_bench(lost)
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = lost, queue, outcome
end
return reply
