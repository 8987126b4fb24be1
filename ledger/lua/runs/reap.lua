#!lua flags=allow-oom
-- PURPOSE: take back overdue attempts (or the one that its worker returns): their runs are requeued at the front, or ended
-- KEYS: leader leases free leased pending_quick pending_detailed running_quick running_detailed finished events deferred_quick deferred_detailed waiting_quick waiting_detailed fence
-- ARGV: epoch now_ms id token why counts fence_seen attempts_max events_max run_prefix worker_prefix lane_prefix job_prefix queue_prefix origin_quick origin_detailed
-- RETURNS: reaped id queue outcome... | stale-epoch | refused
-- With an epoch: all attempts past their deadline, 64 at a time. `now_ms`, unless empty, is the leader's own estimate of the time:
-- when the server's clock has been set forward, leases expire by the earlier of the two; otherwise all would expire at once. With
-- id and token: that attempt. Outcomes: pending, failed (no attempts left), cancelled (the run was being cancelled). A promotion
-- that no worker began costs no attempt, and its worker gets no other run until it has shown that it listens (`missed_ms`). An
-- attempt that its worker returns with `counts` 0 costs none either. `fence_seen`: the bench has seen this fence, so later ones are
-- higher. The event's `lost` names what expired, lease or begin; it is empty if the worker returned the run.
-- A run whose record is missing or damaged, or has a key of a wrong type, is skipped for a second with the outcome damaged.
local call, leader, leases, free, leased = redis.call, unpack(KEYS, 1, 4)
local pending, running, deferred = {quick = KEYS[5], detailed = KEYS[6]}, {quick = KEYS[7], detailed = KEYS[8]}, {quick = KEYS[11], detailed = KEYS[12]}
local waiting, finished, events, fence, epoch, now_ms, only, token, why, counts, fence_seen = {quick = KEYS[13], detailed = KEYS[14]}, KEYS[9], KEYS[10], KEYS[15], unpack(ARGV, 1, 7)
local attempts_max, events_max, run_prefix, worker_prefix, lane_prefix, job_prefix, queue_prefix = unpack(ARGV, 8, 14)
local origin = {quick = ARGV[15], detailed = ARGV[16]}
local t, due = call('TIME'), {only}
local now = t[1] * 1000 + math.floor(t[2] / 1000)

if epoch ~= '' then
  if string.match(call('GET', leader) or '', ' (%d+)$') ~= epoch then return {'stale-epoch'} end
  due = call('ZRANGEBYSCORE', leases, '-inf', math.min(now, tonumber(now_ms) or now), 'LIMIT', 0, 64)
else
  local state, holder = unpack(call('HMGET', run_prefix .. only, 'state', 'token'))
  if state ~= 'running' or holder ~= token then return {'refused'} end
end
for _, zset in ipairs({leases, finished, deferred.quick, deferred.detailed}) do call('ZCARD', zset) end
for _, set in ipairs({free, leased, running.quick, running.detailed}) do call('SCARD', set) end
for _, read in ipairs({{'LLEN', pending.quick}, {'LLEN', pending.detailed}, {'HLEN', waiting.quick}, {'HLEN', waiting.detailed}, {'XLEN', events}, {'GET', fence}}) do call(unpack(read)) end

-- To its old place in the queue. Only other returned runs are in front of the place, so the search is short.
local function to_front(list, id, turn)
  local function turn_of(other)
    local at = redis.pcall('HMGET', run_prefix .. other, 'turn', 'seq')
    return tonumber(at[1] or at[2] or '') or 0
  end
  local place, other = 0, call('LINDEX', list, 0)
  while other and turn_of(other) < turn do
    place = place + 1
    other = call('LINDEX', list, place)
  end
  if other then call('LINSERT', list, 'BEFORE', other, id) else call('RPUSH', list, id) end
end

local function off_the_bench(id)
  local run, job = run_prefix .. id, job_prefix .. id
  local state, mode, seq, attempt, queue, lane, bench, worker, cancelling, user, started, turn =
    unpack(redis.pcall('HMGET', run, 'state', 'mode', 'seq', 'attempt', 'queue', 'dscp', 'bench', 'worker', 'cancelling', 'user', 'started_ms', 'turn'))
  local sound = (state == 'running' and worker or state == 'promoted') and pending[mode or ''] and queue and tonumber(attempt or '') and tonumber(turn or seq or '')
  for key, kind in pairs(sound and {[job] = 'hash', [queue_prefix .. queue] = 'list', [worker_prefix .. queue] = 'hash', [lane_prefix .. (lane or '')] = 'hash'} or {}) do
    local is = call('TYPE', key).ok
    sound = sound and (is == kind or is == 'none')
  end
  if not sound then call('ZADD', leases, now + 1000, id) return '', 'damaged' end
  local begun, outcome, reason = state == 'running', 'pending', why
  if not begun or counts == '0' then attempt = attempt - 1 end
  if reason == '' then reason = begun and 'the lease of ' .. worker .. ' ran out' or 'no worker began it in time' end
  if cancelling then outcome = 'cancelled' elseif begun and tonumber(attempt) >= tonumber(attempts_max) then outcome = 'failed' end

  call('ZREM', leases, id)
  call('SREM', running[mode], id)
  if lane and call('HGET', lane_prefix .. lane, 'run') == id then call('SMOVE', leased, free, lane) call('DEL', lane_prefix .. lane) end
  if call('HGET', worker_prefix .. queue, 'run') == id then
    call('HDEL', worker_prefix .. queue, 'run')
    if not begun then call('HSET', worker_prefix .. queue, 'missed_ms', now) end
  end
  call('LREM', queue_prefix .. queue, 1, id)
  call('HSET', run, 'state', outcome, 'attempt', attempt)
  call('HDEL', run, 'token')
  if outcome == 'pending' then
    call('HDEL', run, 'dscp', 'queue', 'worker', 'started_ms', 'promoted_ms')
    to_front(pending[mode], id, tonumber(turn or seq))
    call('HSET', waiting[mode], user or '', (tonumber(call('HGET', waiting[mode], user or '')) or 0) + 1)
    call('HSET', job, 'status', 'deferred', 'origin', origin[mode])
    call('ZADD', deferred[mode], t[1], id)
  else
    call('HSET', run, 'finished_ms', now)
    if outcome == 'failed' then call('HSET', run, 'error', reason .. ' (attempt ' .. attempt .. ' of ' .. attempts_max .. ')') end
    call('DEL', job)
    call('ZADD', finished, now, id)
  end
  call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', outcome == 'pending' and 'returned' or outcome,
    'run', id, 'bench', bench, 'mode', mode, 'user', user or '', 'why', reason, 'run_ms', begun and now - (tonumber(started) or now) or 0,
    'lost', epoch ~= '' and (begun and 'lease' or 'begin') or '')
  return queue, outcome
end

if tonumber(fence_seen) > tonumber(call('GET', fence) or 0) then call('SET', fence, fence_seen) end
local reply = {'reaped'}
for _, id in ipairs(due) do
  local queue, outcome = off_the_bench(id)
  if queue then reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = id, queue, outcome end
end
return reply
