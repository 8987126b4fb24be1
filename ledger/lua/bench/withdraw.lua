#!lua flags=allow-oom
-- PURPOSE: remove a worker: no more runs are promoted to its queue
-- KEYS: workers events
-- ARGV: name bench events_max worker_prefix
-- RETURNS: withdrawn | unknown
-- A run that it still holds keeps its lease, and is reaped when the lease expires unless it is finished before.

call('XLEN', events)
for _, queue in ipairs(call('ZRANGE', workers, 0, -1)) do
  if redis.pcall('HGET', worker_prefix .. queue, 'name') == name then
    call('ZREM', workers, queue)
    call('DEL', worker_prefix .. queue)
    call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'withdrawn', 'bench', bench, 'queue', queue, 'worker', name)
    return {'withdrawn'}
  end
end
return {'unknown'}
