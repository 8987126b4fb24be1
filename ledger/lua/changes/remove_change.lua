#!lua flags=allow-oom
-- PURPOSE: forget a comparison of two snapshots; its runs stay in the history
-- KEYS: change changes events
-- ARGV: id bench by events_max
-- RETURNS: removed | missing
-- A damaged comparison may lack its record, or its place in the list: what is left of it is removed.
local listed = call('ZSCORE', changes, id)
if not listed and call('EXISTS', change) == 0 then return {'missing'} end
call('XLEN', events)

call('DEL', change)
call('ZREM', changes, id)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'comparison-removed', 'bench', bench, 'by', by, 'change', id)
return {'removed'}
