#!lua
-- PURPOSE: store a new run at the end of the queue, or of its user's surplus; the same id again changes nothing
-- KEYS: run pending waiting_quick waiting_detailed surplus seq events job deferred rq_queues
-- ARGV: id mode bench user line_max waiting_max wait_code wait_reason events_max origin queue_key data created_at asked...
-- RETURNS: created seq ms surplus | exists field value... | conflict | too-many waiting
-- The queue holds `line_max` runs of each user; a further run waits in the surplus (1), with `wait_reason`.
-- too-many: the user already has `waiting_max` waiting runs, in both modes together.
-- `asked...`: name, value pairs of the request; an empty value is not stored, but is compared.
local run, pending, waiting_quick, waiting_detailed, surplus, seq_key, events, job, deferred, rq_queues = unpack(KEYS)
local id, mode, bench, user, line_max, waiting_max, wait_code, wait_reason = unpack(ARGV, 1, 8)
local events_max, origin, queue_key, data, created_at = unpack(ARGV, 9, 13)

if redis.call('EXISTS', run) == 1 then
  for i = 14, #ARGV, 2 do
    if (redis.call('HGET', run, ARGV[i]) or '') ~= ARGV[i + 1] then return {'conflict'} end
  end
  if redis.call('HGET', run, 'mode') ~= mode then return {'conflict'} end
  return {'exists', unpack(redis.call('HGETALL', run))}
end

-- A key of a wrong type stops the script here, before anything is written: Lua does not roll back.
redis.call('LLEN', pending)
redis.call('XLEN', events)
redis.call('HLEN', job)
redis.call('ZCARD', deferred)
redis.call('SCARD', rq_queues)
local quick, detailed = tonumber(redis.call('HGET', waiting_quick, user)) or 0, tonumber(redis.call('HGET', waiting_detailed, user)) or 0
local own, beyond = mode == 'quick' and quick or detailed, redis.call('ZCARD', surplus)
if quick + detailed >= tonumber(waiting_max) then return {'too-many', quick + detailed} end

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local seq = redis.call('INCR', seq_key)
local record = {'user', user, 'mode', mode, 'bench', bench, 'state', 'pending', 'seq', seq, 'submitted_ms', now}
for i = 14, #ARGV, 2 do
  if ARGV[i + 1] ~= '' then
    record[#record + 1] = ARGV[i]
    record[#record + 1] = ARGV[i + 1]
  end
end
redis.call('HSET', run, unpack(record))
redis.call('HSET', mode == 'quick' and waiting_quick or waiting_detailed, user, own + 1)
local in_line = beyond == 0 and own < tonumber(line_max)
if in_line then
  redis.call('RPUSH', pending, id)
else
  redis.call('ZADD', surplus, seq, id)
  redis.call('HSET', run, 'wait_code', wait_code, 'wait_reason', wait_reason)
end
redis.call('SADD', rq_queues, queue_key)
redis.call('HSET', job, 'data', data, 'origin', origin, 'status', 'deferred', 'created_at', created_at)
redis.call('ZADD', deferred, t[1] + t[2] / 1000000, id)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'submitted', 'run', id, 'bench', bench, 'mode', mode, 'user', user)
return {'created', seq, now, in_line and 0 or 1}
