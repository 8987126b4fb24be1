#!lua flags=allow-oom
-- PURPOSE: extend the lease of a running attempt and record the heartbeat of its worker
-- KEYS: run leases workers
-- ARGV: id token lease_ms
-- RETURNS: renewed | cancelling | lost

local state, holder, queue, cancelling = unpack(call('HMGET', run, 'state', 'token', 'queue', 'cancelling'))
if state ~= 'running' or holder ~= token then return {'lost'} end
call('ZCARD', leases)
call('ZCARD', workers)

-- INCLUDE clock
call('ZADD', leases, now + lease_ms, id)
call('ZADD', workers, 'XX', now, queue)
return {cancelling and 'cancelling' or 'renewed'}
