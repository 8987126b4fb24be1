#!lua flags=allow-oom
-- PURPOSE: release the leadership, so that another dispatcher leads at once
-- KEYS: leader events
-- ARGV: dispatcher bench events_max
-- RETURNS: resigned | not-leader

-- INCLUDE parts_of_lock
if parts_of_lock(call('GET', leader) or '') ~= dispatcher then return {'not-leader'} end
call('XLEN', events)

call('DEL', leader)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'resigned', 'bench', bench, 'dispatcher', dispatcher)
return {'resigned'}
