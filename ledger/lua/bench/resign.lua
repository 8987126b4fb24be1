#!lua flags=allow-oom
-- PURPOSE: release the leadership, so that another dispatcher leads at once
-- KEYS: leader events
-- ARGV: dispatcher bench events_max
-- RETURNS: resigned | not-leader

local holder = call('GET', leader)
if not holder or string.match(holder, '^(.*) %d+$') ~= dispatcher then return {'not-leader'} end
call('XLEN', events)

call('DEL', leader)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'resigned', 'bench', bench, 'dispatcher', dispatcher)
return {'resigned'}
