#!lua flags=allow-oom
-- PURPOSE: store why runs wait; write only changes, and report them with one event, because a page may show them
-- KEYS: events
-- ARGV: bench events_max run_prefix reasons...
-- RETURNS: changed count
-- `reasons...`: id, code, sentence of each.
call('XLEN', events)

local changed = 0
for i = reasons_at, #ARGV, 3 do
  local run, code, sentence = run_prefix .. ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local state, reason = unpack(call('HMGET', run, 'state', 'wait_reason'))
  if state == 'pending' and reason ~= sentence then
    call('HSET', run, 'wait_code', code, 'wait_reason', sentence)
    changed = changed + 1
  end
end
if changed > 0 then
  call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'explained', 'bench', bench, 'runs', changed)
end
return {'changed', changed}
