#!lua flags=allow-oom
-- PURPOSE: drain a host for maintenance: no run starts there, running ones continue
-- KEYS: drained events
-- ARGV: host by why bench events_max
-- RETURNS: drained | already
-- The first drain stays: a second one would otherwise hide who drained the host and why. A host may be drained before it exists.

if call('HEXISTS', drained, host) == 1 then return {'already'} end
call('XLEN', events)

-- INCLUDE clock
call('HSET', drained, host, cjson.encode({by = by, why = why, since_ms = now}))
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'host-drained', 'bench', bench, 'host', host, 'by', by, 'why', why)
return {'drained'}
