#!lua
-- PURPOSE: add a network, which has no snapshot yet
-- KEYS: networks events
-- ARGV: bench by networks_max events_max
-- RETURNS: added | known | too-many count

if call('ZSCORE', networks, bench) then return {'known'} end
local count = call('ZCARD', networks)
if count >= tonumber(networks_max) then return {'too-many', count} end
call('XLEN', events)

-- INCLUDE clock
call('ZADD', networks, now, bench)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'network-added', 'bench', bench, 'by', by)
return {'added'}
