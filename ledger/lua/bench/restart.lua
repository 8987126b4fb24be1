#!lua flags=allow-oom
-- PURPOSE: request a restart of the bench; the request expires if no worker pool takes it in time
-- KEYS: restart events
-- ARGV: bench by lapse_ms events_max
-- RETURNS: requested | already

if call('EXISTS', restart) == 1 then return {'already'} end
call('XLEN', events)

local t = call('TIME')
call('SET', restart, by .. ' ' .. string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000)), 'PX', lapse_ms)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'restart', 'bench', bench, 'by', by)
return {'requested'}
