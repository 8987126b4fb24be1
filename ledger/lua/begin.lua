#!lua flags=allow-oom
-- PURPOSE: a worker takes up the run it was given: promoted -> running, once
-- KEYS: run leases workers events
-- ARGV: id worker lease_ms events_max worker_prefix lane_prefix
-- RETURNS: begun field value... | missing | not-promoted | elsewhere
-- `elsewhere`: by now the run was given to another queue, or the queue has another worker.
local run, leases, workers, events = unpack(KEYS)
local id, worker, lease_ms, events_max, worker_prefix, lane_prefix = unpack(ARGV)

local state, queue, lane, bench, mode, user, submitted = unpack(redis.call('HMGET', run, 'state', 'queue', 'dscp', 'bench', 'mode', 'user', 'submitted_ms'))
if not state then return {'missing'} end
if state ~= 'promoted' then return {'not-promoted'} end
if redis.call('HGET', worker_prefix .. queue, 'name') ~= worker then return {'elsewhere'} end
redis.call('ZCARD', leases)
redis.call('ZCARD', workers)
redis.call('XLEN', events)
if lane then redis.call('HLEN', lane_prefix .. lane) end

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', run, 'state', 'running', 'worker', worker, 'started_ms', now)
redis.call('ZADD', leases, now + lease_ms, id)
redis.call('ZADD', workers, 'XX', now, queue)
if lane then redis.call('HSET', lane_prefix .. lane, 'worker', worker) end
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'begun', 'run', id, 'bench', bench, 'mode', mode, 'user', user or '',
  'worker', worker, 'wait_ms', now - (tonumber(submitted) or now))
return {'begun', unpack(redis.call('HGETALL', run))}
