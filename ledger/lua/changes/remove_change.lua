#!lua flags=allow-oom
-- PURPOSE: forget a comparison of two snapshots; its runs stay in the history
-- KEYS: change changes events
-- ARGV: id bench by events_max
-- RETURNS: removed | missing
if call('EXISTS', change) == 0 then return {'missing'} end
call('ZCARD', changes)
call('XLEN', events)

call('DEL', change)
call('ZREM', changes, id)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'comparison-removed', 'bench', bench, 'by', by, 'change', id)
return {'removed'}
