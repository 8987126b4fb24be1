#!lua flags=allow-oom
-- PURPOSE: extend the lease of a running attempt and record the heartbeat of its worker
-- KEYS: run leases workers
-- ARGV: id token lease_ms
-- RETURNS: renewed | cancelling | lost
local run, leases, workers = unpack(KEYS)
local id, token, lease_ms = unpack(ARGV)

local state, holder, queue, cancelling = unpack(redis.call('HMGET', run, 'state', 'token', 'queue', 'cancelling'))
if state ~= 'running' or holder ~= token then return {'lost'} end
redis.call('ZCARD', leases)
redis.call('ZCARD', workers)

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', leases, now + lease_ms, id)
redis.call('ZADD', workers, 'XX', now, queue)
return {cancelling and 'cancelling' or 'renewed'}
