#!lua flags=allow-oom
-- PURPOSE: store whether a bench can be built from a snapshot
-- KEYS: snapshot unchecked current events
-- ARGV: facts bench outcome host problems warnings first_start events_max
-- RETURNS: settled | missing
-- `outcome`: ready or refused. `problems` and `warnings` are JSON lists of sentences. The first host that answers decides.
-- A snapshot that `first_start` pushed becomes current at once if there is no other.

local state, by = unpack(call('HMGET', snapshot, 'state', 'by'))
if state ~= 'checking' then
  call('SREM', unchecked, facts)
  return {'missing'}
end
call('SCARD', unchecked)
local first = outcome == 'ready' and by == first_start and not call('GET', current)
call('XLEN', events)
-- INCLUDE clock

call('HSET', snapshot, 'state', outcome, 'checked_ms', now, 'host', host, 'problems', problems, 'warnings', warnings)
call('SREM', unchecked, facts)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'checked', 'bench', bench, 'facts', facts, 'state', outcome)
if first then
  call('SET', current, facts)
  call('HSET', snapshot, 'used_ms', now, 'used_by', by)
  call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'current', 'bench', bench, 'by', by, 'facts', facts, 'before', '')
end
return {'settled'}
