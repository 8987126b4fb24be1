#!lua flags=allow-oom
-- PURPOSE: record the progress of a running attempt
-- KEYS: run log events
-- ARGV: id token phase percent message log_max events_max
-- RETURNS: noted | lost

local state, holder, bench, mode, user = unpack(call('HMGET', run, 'state', 'token', 'bench', 'mode', 'user'))
if state ~= 'running' or holder ~= token then return {'lost'} end
call('XLEN', log)
call('XLEN', events)

call('XADD', log, 'MAXLEN', '~', log_max, '*', 'phase', phase, 'percent', percent, 'message', message)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'progress', 'run', id, 'bench', bench,
  'mode', mode, 'user', user or '', 'phase', phase, 'percent', percent)
return {'noted'}
