#!lua
-- PURPOSE: store a new run at the end of its pending list; the same id again changes nothing
-- KEYS: run pending seq events job deferred rq_queues
-- ARGV: id mode bench user events_max origin queue_key data created_at asked...
-- RETURNS: created seq ms | exists field value... | conflict
-- `asked...` are name, value pairs of the request; an empty value is not stored, but is compared.
local run, pending, seq_key, events, job, deferred, rq_queues = unpack(KEYS)
local id, mode, bench, user, events_max, origin, queue_key, data, created_at = unpack(ARGV)

if redis.call('EXISTS', run) == 1 then
  for i = 10, #ARGV, 2 do
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

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local seq = redis.call('INCR', seq_key)
local record = {'user', user, 'mode', mode, 'bench', bench, 'state', 'pending', 'seq', seq, 'submitted_ms', now}
for i = 10, #ARGV, 2 do
  if ARGV[i + 1] ~= '' then
    record[#record + 1] = ARGV[i]
    record[#record + 1] = ARGV[i + 1]
  end
end
redis.call('HSET', run, unpack(record))
redis.call('RPUSH', pending, id)
redis.call('SADD', rq_queues, queue_key)
redis.call('HSET', job, 'data', data, 'origin', origin, 'status', 'deferred', 'created_at', created_at)
redis.call('ZADD', deferred, t[1] + t[2] / 1000000, id)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'submitted', 'run', id, 'bench', bench, 'mode', mode, 'user', user)
return {'created', seq, now}
