#!lua flags=allow-oom
-- PURPOSE: report that a worker is alive and serves a queue; repeated within alive_ms
-- KEYS: workers worker rq_queues events hosts free leased
-- ARGV: name queue mode pid host host_name lane_first lane_last bench alive_ms forget_ms events_max queue_key worker_prefix dead listens version
-- RETURNS: new | known | taken name pid host
-- `taken`: another live worker serves this queue; nothing is written. `dead` names a worker whose process the caller
-- knows to have ended: its heartbeat does not count. `listens` 1: its main loop has just received an answer from Redis, so
-- a run that it did not begin (`missed_ms`) no longer counts.
-- `host` is the machine, `host_name` the host whose bench the worker uses: its lanes are free from its first worker on.
-- `version` is the number of the layout with which the worker works; the record has it as `layout`.
-- Only a new worker, a worker that was silent, one whose `missed_ms` is cleared or whose record was not complete causes an event:
-- it can take a run again. Workers that are silent for forget_ms are then removed, a few at a time.

-- INCLUDE clock
-- INCLUDE of_host
local beat = call('ZSCORE', workers, queue)
local alive = beat and tonumber(beat) >= now - alive_ms and tonumber(beat) <= now + 1000 -- later: the clock was set back
local holder, holder_pid, holder_host, missed, serves, has = unpack(call('HMGET', worker, 'name', 'pid', 'host', 'missed_ms', 'mode', 'layout'))
if alive and holder and holder ~= name and holder ~= dead then return {'taken', holder, holder_pid or '0', holder_host or ''} end
local known = alive and holder == name and serves == mode and has == version
call('SCARD', rq_queues)
call('XLEN', events)

call('ZADD', workers, now, queue)
redis.pcall('ZADD', hosts, now, host_name)
if known and not (missed and listens == '1') then return {'known'} end
call('HDEL', worker, 'missed_ms')
call('HSET', worker, 'name', name, 'mode', mode, 'pid', pid, 'host', host, 'host_name', host_name, 'layout', version)
for lane = lane_first, lane_last do
  if redis.pcall('SISMEMBER', of_host(leased, host_name), lane) == 0 then redis.pcall('SADD', of_host(free, host_name), lane) end
end
call('SADD', rq_queues, queue_key)
for _, gone in ipairs(call('ZRANGEBYSCORE', workers, '-inf', now - forget_ms, 'LIMIT', 0, 10)) do
  if call('TYPE', worker_prefix .. gone).ok ~= 'hash' or not call('HGET', worker_prefix .. gone, 'run') then
    call('ZREM', workers, gone)
    call('DEL', worker_prefix .. gone)
  end
end
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'worker', 'bench', bench, 'mode', mode, 'queue', queue, 'worker', name)
return {'new'}
