#!lua flags=allow-oom
-- PURPOSE: store whether a bench can be built from a snapshot
-- KEYS: snapshot unchecked events
-- ARGV: facts bench outcome host problems warnings events_max
-- RETURNS: settled | missing
-- `outcome`: ready or refused. `problems` and `warnings` are JSON lists of sentences. The first host that answers decides.

if call('HGET', snapshot, 'state') ~= 'checking' then
  call('SREM', unchecked, facts)
  return {'missing'}
end
call('SCARD', unchecked)
call('XLEN', events)
-- INCLUDE clock

call('HSET', snapshot, 'state', outcome, 'checked_ms', now, 'host', host, 'problems', problems, 'warnings', warnings)
call('SREM', unchecked, facts)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'checked', 'bench', bench, 'facts', facts, 'state', outcome)
return {'settled'}
