#!lua
-- PURPOSE: store the management flows of a network, or remove them if the rows are empty
-- KEYS: flows events networks
-- ARGV: bench unlisted by rows events_max
-- RETURNS: stored | no-network
if rows ~= '' and unlisted ~= '1' and not call('ZSCORE', networks, bench) then return {'no-network'} end
if rows == '' and call('EXISTS', flows) == 0 then return {'stored'} end
call('XLEN', events)

if rows == '' then call('DEL', flows) else call('SET', flows, rows) end
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'flows-changed', 'bench', bench, 'by', by)
return {'stored'}
