#!lua flags=allow-oom
-- PURPOSE: remove the pin of a snapshot, so that it can be removed
-- KEYS: snapshot events
-- ARGV: facts bench by events_max
-- RETURNS: unpinned | not-pinned | missing

local pinned, pushed = unpack(call('HMGET', snapshot, 'pinned_by', 'pushed_ms'))
if not pushed then return {'missing'} end
if not pinned then return {'not-pinned'} end
call('XLEN', events)

call('HDEL', snapshot, 'pinned_by', 'pinned_why')
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'unpinned', 'bench', bench, 'by', by, 'facts', facts)
return {'unpinned'}
