#!lua flags=allow-oom
-- PURPOSE: begin the run assigned to a worker: promoted -> running, for one attempt
-- KEYS: run leases workers events
-- ARGV: id worker queue lease_ms events_max worker_prefix lane_prefix
-- RETURNS: begun field value... | missing | not-promoted | elsewhere | taken name pid host
-- The worker that began the run gets the same answer again, because the first reply may have been lost.
-- `elsewhere`: the run is assigned to another queue. `taken`: it is assigned to `queue`, which another worker serves now.
local run, leases, workers, events = unpack(KEYS)
local id, worker, asked, lease_ms, events_max, worker_prefix, lane_prefix = unpack(ARGV)

local state, queue, lane, bench, mode, user, submitted, holder =
  unpack(redis.call('HMGET', run, 'state', 'queue', 'dscp', 'bench', 'mode', 'user', 'submitted_ms', 'worker'))
if not state then return {'missing'} end
local again = state == 'running' and holder == worker
if state ~= 'promoted' and not again then return {'not-promoted'} end
local serves, pid, host = unpack(redis.call('HMGET', worker_prefix .. queue, 'name', 'pid', 'host'))
if serves ~= worker and not again then
  if queue ~= asked or not serves then return {'elsewhere'} end
  return {'taken', serves, pid or '0', host or ''}
end
redis.call('ZCARD', leases)
redis.call('ZCARD', workers)
redis.call('XLEN', events)
if lane then redis.call('HLEN', lane_prefix .. lane) end

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', leases, now + lease_ms, id)
if again then return {'begun', unpack(redis.call('HGETALL', run))} end
redis.call('HSET', run, 'state', 'running', 'worker', worker, 'started_ms', now)
redis.call('ZADD', workers, 'XX', now, queue)
redis.call('HDEL', worker_prefix .. queue, 'missed_ms')
if lane then redis.call('HSET', lane_prefix .. lane, 'worker', worker) end
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'begun', 'run', id, 'bench', bench, 'mode', mode, 'user', user or '',
  'worker', worker, 'wait_ms', now - (tonumber(submitted) or now))
return {'begun', unpack(redis.call('HGETALL', run))}
