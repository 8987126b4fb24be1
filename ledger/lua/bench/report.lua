#!lua flags=allow-oom
-- PURPOSE: store the report of the bench; an event if its `digest` changed, or after a silence
-- KEYS: status events
-- ARGV: bench digest silent_ms events_max fields...
-- RETURNS: changed | same
-- `fields...`: name, JSON value pairs, replacing all earlier ones.
local status, events = unpack(KEYS)
local bench, digest, silent_ms, events_max = unpack(ARGV, 1, 4)

local before, reported = unpack(redis.call('HMGET', status, 'digest', 'reported_ms'))
redis.call('XLEN', events)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local age = now - (tonumber(reported) or 0)

redis.call('DEL', status)
redis.call('HSET', status, 'digest', digest, 'reported_ms', now, unpack(ARGV, 5))
if before == digest and age <= tonumber(silent_ms) and age >= -1000 then return {'same'} end
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'bench', 'bench', bench)
return {'changed'}
