#!lua flags=allow-oom
-- PURPOSE: resume this bench: waiting runs may start again
-- KEYS: paused events
-- ARGV: bench by events_max
-- RETURNS: resumed | not-paused
local paused, events = unpack(KEYS)
local bench, by, events_max = unpack(ARGV)

if redis.call('HLEN', paused) == 0 then return {'not-paused'} end
redis.call('XLEN', events)

redis.call('DEL', paused)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'resumed', 'bench', bench, 'by', by)
return {'resumed'}
