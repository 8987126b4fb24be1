#!lua flags=allow-oom
-- PURPOSE: keep what the bench says of itself; an event when the part that matters changed
-- KEYS: status events
-- ARGV: bench digest events_max fields...
-- RETURNS: changed | same
-- `fields...`: name, JSON value pairs, replacing all earlier ones.
local status, events = unpack(KEYS)
local bench, digest, events_max = unpack(ARGV, 1, 3)

local before = redis.call('HGET', status, 'digest')
redis.call('XLEN', events)
local t = redis.call('TIME')

redis.call('DEL', status)
redis.call('HSET', status, 'digest', digest, 'reported_ms', t[1] * 1000 + math.floor(t[2] / 1000), unpack(ARGV, 4))
if before == digest then return {'same'} end
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'bench', 'bench', bench)
return {'changed'}
