#!lua flags=allow-oom
-- PURPOSE: take overdue attempts (or the one its worker gives back) off the bench: front of pending, or ended
-- KEYS: leader leases free leased pending_quick pending_detailed running_quick running_detailed finished events deferred_quick deferred_detailed
-- ARGV: epoch id token why attempts_max events_max run_prefix worker_prefix lane_prefix job_prefix queue_prefix origin_quick origin_detailed
-- RETURNS: reaped id queue outcome... | stale-epoch | refused
-- With an epoch: everything past its deadline, 64 at a time. With id and token: that attempt. Outcomes: pending,
-- failed (attempts used up), cancelled (it was being cancelled). A promotion nobody began costs no attempt.
local leader, leases, free, leased = unpack(KEYS, 1, 4)
local pending, running, deferred = {quick = KEYS[5], detailed = KEYS[6]}, {quick = KEYS[7], detailed = KEYS[8]}, {quick = KEYS[11], detailed = KEYS[12]}
local finished, events = KEYS[9], KEYS[10]
local epoch, only, token, why, attempts_max, events_max = unpack(ARGV, 1, 6)
local run_prefix, worker_prefix, lane_prefix, job_prefix, queue_prefix = unpack(ARGV, 7, 11)
local origin = {quick = ARGV[12], detailed = ARGV[13]}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due

if epoch ~= '' then
  if string.match(redis.call('GET', leader) or '', ' (%d+)$') ~= epoch then return {'stale-epoch'} end
  due = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 64)
else
  local state, holder = unpack(redis.call('HMGET', run_prefix .. only, 'state', 'token'))
  if state ~= 'running' or holder ~= token then return {'refused'} end
  due = {only}
end
for _, zset in ipairs({leases, finished, deferred.quick, deferred.detailed}) do redis.call('ZCARD', zset) end
for _, set in ipairs({free, leased, running.quick, running.detailed}) do redis.call('SCARD', set) end
for _, list in ipairs({pending.quick, pending.detailed}) do redis.call('LLEN', list) end
redis.call('XLEN', events)

-- Runs given back stand before all that are younger; only such runs stand before the place, so this is short.
local function to_front(list, id, seq)
  for place = 0, 1e6 do
    local other = redis.call('LINDEX', list, place)
    if not other then return redis.call('RPUSH', list, id) end
    if tonumber(redis.call('HGET', run_prefix .. other, 'seq')) > seq then
      return redis.call('LINSERT', list, 'BEFORE', other, id)
    end
  end
end

local reply = {'reaped'}
for _, id in ipairs(due) do
  local run, job = run_prefix .. id, job_prefix .. id
  local state, mode, seq, attempt, queue, lane, bench, worker, cancelling =
    unpack(redis.call('HMGET', run, 'state', 'mode', 'seq', 'attempt', 'queue', 'dscp', 'bench', 'worker', 'cancelling'))
  local begun, outcome, reason = state == 'running', 'pending', why
  attempt = tonumber(attempt)
  if not begun then attempt = attempt - 1 end
  if reason == '' then reason = begun and 'the lease of worker ' .. worker .. ' ran out' or 'no worker began it in time' end
  if cancelling then outcome = 'cancelled' elseif begun and attempt >= tonumber(attempts_max) then outcome = 'failed' end

  redis.call('ZREM', leases, id)
  redis.call('SREM', running[mode], id)
  if lane then
    redis.call('SMOVE', leased, free, lane)
    redis.call('DEL', lane_prefix .. lane)
  end
  if redis.call('HGET', worker_prefix .. queue, 'run') == id then redis.call('HDEL', worker_prefix .. queue, 'run') end
  redis.call('LREM', queue_prefix .. queue, 1, id)
  redis.call('HSET', run, 'state', outcome, 'attempt', attempt)
  redis.call('HDEL', run, 'token')
  if outcome == 'pending' then
    redis.call('HDEL', run, 'dscp', 'queue', 'worker', 'started_ms', 'promoted_ms')
    to_front(pending[mode], id, tonumber(seq))
    redis.call('HSET', job, 'status', 'deferred', 'origin', origin[mode])
    redis.call('ZADD', deferred[mode], t[1], id)
  else
    redis.call('HSET', run, 'finished_ms', now)
    if outcome == 'failed' then redis.call('HSET', run, 'error', reason .. ', attempt ' .. attempt .. ' of ' .. attempts_max) end
    redis.call('DEL', job)
    redis.call('ZADD', finished, now, id)
  end
  redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', outcome == 'pending' and 'returned' or outcome,
    'run', id, 'bench', bench, 'mode', mode, 'why', reason)
  for _, word in ipairs({id, queue, outcome}) do reply[#reply + 1] = word end
end
return reply
