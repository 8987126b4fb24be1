#!lua flags=allow-oom
-- PURPOSE: store the report of the bench; an event if its `digest` changed, or after a silence
-- KEYS: status events
-- ARGV: bench digest silent_ms events_max fields...
-- RETURNS: changed | same
-- `fields...`: name, JSON value pairs, replacing all earlier ones.

local before, reported = unpack(call('HMGET', status, 'digest', 'reported_ms'))
call('XLEN', events)
-- INCLUDE clock
local age = now - (tonumber(reported) or 0)

call('DEL', status)
call('HSET', status, 'digest', digest, 'reported_ms', now, unpack(ARGV, fields_at))
if before == digest and age <= tonumber(silent_ms) and age >= -1000 then return {'same'} end
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'bench', 'bench', bench)
return {'changed'}
