#!lua
-- PURPOSE: store a new run at the end of the queue, or of its user's surplus; the same id again changes nothing
-- KEYS: run pending waiting_quick waiting_detailed waiting_bulk surplus seq events job deferred rq_queues networks questions asked_snapshots queued_questions
-- ARGV: id mode bench unlisted user line_max waiting_max wait_code wait_reason events_max origin queue_key data created_at document snapshot size asked...
-- RETURNS: created seq ms surplus | exists field value... | conflict | no-network | too-many waiting
-- The queue holds `line_max` runs of each user; a further run waits in the surplus (1), with `wait_reason`.
-- too-many: with this run the user would have more than `waiting_max` waiting questions, in all modes together. A bulk run has
-- `size` questions, every other run 1.
-- no-network: the network is not in `networks`, as it must be unless `unlisted` is 1.
-- `asked...`: name, value pairs of the request; an empty value is not stored, but is compared.
-- `document`: the questions of a bulk run. The bench of its `snapshot`, if it names one, is needed for a minute.

if call('EXISTS', run) == 1 then
  for i = asked_at, #ARGV, 2 do
    if (call('HGET', run, ARGV[i]) or '') ~= ARGV[i + 1] then return {'conflict'} end
  end
  if call('HGET', run, 'mode') ~= mode then return {'conflict'} end
  return {'exists', unpack(call('HGETALL', run))}
end

if unlisted ~= '1' and not call('ZSCORE', networks, bench) then return {'no-network'} end

-- A key of a wrong type stops the script here, before anything is written: Lua does not roll back.
call('LLEN', pending)
call('XLEN', events)
call('HLEN', job)
call('ZCARD', deferred)
call('SCARD', rq_queues)
call('STRLEN', questions)
call('ZCARD', asked_snapshots)
local count, mine = {}, 0
for each, users in pairs(waiting) do
  count[each] = tonumber(call('HGET', users, user)) or 0
  mine = mine + count[each]
end
local queued = tonumber(call('HGET', queued_questions, user)) or 0
mine = mine + math.max(0, queued - count.bulk)
local beyond = call('ZCARD', surplus)
if mine + size > tonumber(waiting_max) then return {'too-many', mine} end

-- INCLUDE clock
local own_seq = call('INCR', seq)
local record = {'user', user, 'mode', mode, 'bench', bench, 'state', 'pending', 'seq', own_seq, 'submitted_ms', now}
for i = asked_at, #ARGV, 2 do
  if ARGV[i + 1] ~= '' then
    record[#record + 1] = ARGV[i]
    record[#record + 1] = ARGV[i + 1]
  end
end
call('HSET', run, unpack(record))
if document ~= '' then call('SET', questions, document) end
if snapshot ~= '' then
  call('ZREMRANGEBYSCORE', asked_snapshots, '-inf', now)
  call('ZADD', asked_snapshots, now + 60000, snapshot)
end
call('HSET', waiting[mode], user, count[mode] + 1)
if mode == 'bulk' then call('HSET', queued_questions, user, queued + size) end
local in_line = beyond == 0 and count[mode] < tonumber(line_max)
if in_line then
  call('RPUSH', pending, id)
else
  call('ZADD', surplus, own_seq, id)
  call('HSET', run, 'wait_code', wait_code, 'wait_reason', wait_reason)
end
call('SADD', rq_queues, queue_key)
call('HSET', job, 'data', data, 'origin', origin, 'status', 'deferred', 'created_at', created_at)
call('ZADD', deferred, t[1] + t[2] / 1000000, id)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'submitted', 'run', id, 'bench', bench, 'mode', mode, 'user', user)
return {'created', own_seq, now, in_line and 0 or 1}
