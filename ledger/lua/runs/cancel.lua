#!lua flags=allow-oom
-- PURPOSE: end a waiting or just promoted run; mark a running one, which its worker then stops
-- KEYS: run leases free leased pending_quick pending_detailed pending_bulk running_quick running_detailed running_bulk finished events deferred_quick deferred_detailed deferred_bulk seq waiting_quick waiting_detailed waiting_bulk queued_questions
-- ARGV: id by line_max events_max surplus_prefix run_prefix worker_prefix lane_prefix job_prefix queue_prefix
-- RETURNS: cancelled field value... | cancelling field value... | ended | missing
-- INCLUDE one_less
-- INCLUDE of_host
-- INCLUDE release_slot

local state, mode, queue, lane, bench, own_seq, user, turn, host, questions = unpack(call('HMGET', run, 'state', 'mode', 'queue', 'dscp', 'bench', 'seq', 'user', 'turn', 'host', 'questions'))
if not state then return {'missing'} end
if state ~= 'pending' and state ~= 'promoted' and state ~= 'running' then return {'ended'} end
user = user or ''
for _, zset in ipairs({leases, finished, deferred[mode]}) do call('ZCARD', zset) end
for _, set in ipairs({of_host(free, host), of_host(leased, host), running[mode]}) do call('SCARD', set) end
call('XLEN', events)
local length, surplus = call('LLEN', pending[mode]), surplus_prefix .. mode .. ':' .. user
call('ZCARD', surplus)
call('HLEN', waiting[mode])
call('HLEN', queued_questions)
call('GET', seq)
-- INCLUDE clock

if state == 'running' then
  call('HSET', run, 'cancelling', 1)
  call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'cancelling', 'run', id, 'bench', bench, 'mode', mode, 'user', user, 'by', by)
  return {'cancelling', unpack(call('HGETALL', run))}
end

if state == 'pending' then
  if call('ZREM', surplus, id) == 0 then
    -- Searched from the nearer end: the turn increases along the queue, so the run in the middle shows which end that is.
    local middle = call('LINDEX', pending[mode], math.floor(length / 2))
    local at = middle and redis.pcall('HMGET', run_prefix .. middle, 'turn', 'seq') or {}
    call('LREM', pending[mode], (tonumber(at[1] or at[2] or '') or 0) < (tonumber(turn or own_seq or '') or 0) and -1 or 1, id)
  end
  one_less(mode, user, questions)
  call('ZREM', deferred[mode], id)
else
  call('LLEN', queue_prefix .. queue)
  release_slot(id, mode, queue, host, lane)
  call('LREM', queue_prefix .. queue, 1, id)
end
call('DEL', job_prefix .. id)
call('HSET', run, 'state', 'cancelled', 'finished_ms', now)
call('HDEL', run, 'wait_code', 'wait_reason')
call('ZADD', finished, now, id)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'cancelled', 'run', id, 'bench', bench, 'mode', mode, 'user', user, 'by', by)
return {'cancelled', unpack(call('HGETALL', run))}
