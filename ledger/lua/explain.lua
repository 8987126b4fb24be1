#!lua
-- PURPOSE: note why runs wait; writes only what changed
-- KEYS:
-- ARGV: run_prefix reasons...
-- RETURNS: changed count
-- `reasons...`: id, code, sentence of each.
local run_prefix = ARGV[1]
local changed = 0
for i = 2, #ARGV, 3 do
  local run, code, sentence = run_prefix .. ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local state, reason = unpack(redis.call('HMGET', run, 'state', 'wait_reason'))
  if state == 'pending' and reason ~= sentence then
    redis.call('HSET', run, 'wait_code', code, 'wait_reason', sentence)
    changed = changed + 1
  end
end
return {'changed', changed}
