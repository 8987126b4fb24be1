#!lua flags=allow-oom
-- PURPOSE: begin the run assigned to a worker: promoted -> running, for one attempt
-- KEYS: run leases workers events
-- ARGV: id worker asked_queue host lease_ms events_max worker_prefix lane_prefix
-- RETURNS: begun field value... | missing | not-promoted | elsewhere | taken name pid host
-- The worker that began the run gets the same answer again, because the first reply may have been lost.
-- `elsewhere`: the run is assigned to another queue, or to the bench of another host. `taken`: it is assigned to `asked_queue`, which another worker serves now.

local state, queue, lane, bench, mode, user, submitted, holder, assigned =
  unpack(call('HMGET', run, 'state', 'queue', 'dscp', 'bench', 'mode', 'user', 'submitted_ms', 'worker', 'host'))
if not state then return {'missing'} end
local again = state == 'running' and holder == worker
if state ~= 'promoted' and not again then return {'not-promoted'} end
local serves, pid, machine = unpack(call('HMGET', worker_prefix .. queue, 'name', 'pid', 'host'))
if serves ~= worker and not again then
  if queue ~= asked_queue or not serves then return {'elsewhere'} end
  return {'taken', serves, pid or '0', machine or ''}
end
-- INCLUDE of_host
if of_host('', assigned) ~= of_host('', host) then return {'elsewhere'} end
call('ZCARD', leases)
call('ZCARD', workers)
call('XLEN', events)
if lane then call('HLEN', lane_of(lane_prefix, host, lane)) end

-- INCLUDE clock
call('ZADD', leases, now + lease_ms, id)
if again then return {'begun', unpack(call('HGETALL', run))} end
call('HSET', run, 'state', 'running', 'worker', worker, 'started_ms', now)
call('ZADD', workers, 'XX', now, queue)
call('HDEL', worker_prefix .. queue, 'missed_ms')
if lane then call('HSET', lane_of(lane_prefix, host, lane), 'worker', worker) end
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'begun', 'run', id, 'bench', bench, 'mode', mode, 'user', user or '',
  'worker', worker, 'wait_ms', now - (tonumber(submitted) or now))
return {'begun', unpack(call('HGETALL', run))}
