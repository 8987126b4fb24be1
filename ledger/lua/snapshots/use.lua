#!lua flags=allow-oom
-- PURPOSE: make a snapshot the current one, from which a network answers
-- KEYS: snapshot snapshots current events
-- ARGV: facts bench by events_max
-- RETURNS: used before | same | missing | not-ready state

local state = call('HGET', snapshot, 'state')
if not state then return {'missing'} end
if state ~= 'ready' then return {'not-ready', state} end
local before = call('GET', current) or ''
if before == facts then return {'same'} end
call('ZCARD', snapshots)
call('XLEN', events)
-- INCLUDE clock

call('SET', current, facts)
call('HSET', snapshot, 'used_ms', now, 'used_by', by)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'current', 'bench', bench, 'by', by,
  'facts', facts, 'before', before)
return {'used', before}
