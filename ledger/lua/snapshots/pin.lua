#!lua flags=allow-oom
-- PURPOSE: keep a snapshot until the pin is removed
-- KEYS: snapshot events
-- ARGV: facts bench by why events_max
-- RETURNS: pinned | missing

if call('EXISTS', snapshot) == 0 then return {'missing'} end
call('XLEN', events)

call('HSET', snapshot, 'pinned_by', by, 'pinned_why', why)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'pinned', 'bench', bench, 'by', by, 'facts', facts)
return {'pinned'}
