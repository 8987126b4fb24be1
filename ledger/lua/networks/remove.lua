#!lua flags=allow-oom
-- PURPOSE: remove a network for which no run waits and which no run is tested on; its snapshots stay
-- KEYS: networks events pending_quick pending_detailed running_quick running_detailed current
-- ARGV: bench by events_max
-- RETURNS: removed | missing | busy runs

if not call('ZSCORE', networks, bench) then return {'missing'} end
local runs = call('LLEN', pending.quick) + call('LLEN', pending.detailed) + call('SCARD', running.quick) + call('SCARD', running.detailed)
if runs > 0 then return {'busy', runs} end
call('XLEN', events)

call('ZREM', networks, bench)
call('DEL', current)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'network-removed', 'bench', bench, 'by', by)
return {'removed'}
