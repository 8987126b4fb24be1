#!lua flags=allow-oom
-- PURPOSE: remove a network for which no run waits and which no run is tested on; its snapshots stay
-- KEYS: networks events pending_quick pending_detailed pending_bulk running_quick running_detailed running_bulk current
-- ARGV: bench by events_max
-- RETURNS: removed | missing | busy runs

if not call('ZSCORE', networks, bench) then return {'missing'} end
local runs = 0
for mode, line in pairs(pending) do runs = runs + call('LLEN', line) + call('SCARD', running[mode]) end
if runs > 0 then return {'busy', runs} end
call('XLEN', events)

call('ZREM', networks, bench)
call('DEL', current)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'network-removed', 'bench', bench, 'by', by)
return {'removed'}
