#!lua flags=allow-oom
-- PURPOSE: pause this bench: no run starts, running ones continue
-- KEYS: paused events
-- ARGV: bench by why events_max
-- RETURNS: paused | already
-- The first pause stays: a second one would otherwise hide who paused the bench and why.

if call('HLEN', paused) > 0 then return {'already'} end
call('XLEN', events)

local t = call('TIME')
call('HSET', paused, 'by', by, 'why', why, 'since_ms', t[1] * 1000 + math.floor(t[2] / 1000))
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'paused', 'bench', bench, 'by', by, 'why', why)
return {'paused'}
