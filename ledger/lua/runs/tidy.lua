#!lua flags=allow-oom
-- PURPOSE: make lanes and workers agree with the runs that hold them, and remove invalid lanes
-- KEYS: leader leases free leased workers
-- ARGV: epoch lane_first lane_last run_prefix worker_prefix lane_prefix
-- RETURNS: tidied count | stale-epoch
-- A lane or worker stays with an ended run until the run's lease expires, because its worker may still be testing.
-- INCLUDE leads
if not leads() then return {'stale-epoch'} end
local changed = 0

local function holds(id, field, value)
  if not id then return false end
  if call('ZSCORE', leases, id) then return true end
  local said = redis.pcall('HMGET', run_prefix .. id, 'state', field)
  return (said[1] == 'promoted' or said[1] == 'running') and said[2] == value
end

for lane = lane_first, lane_last do
  local at, number = lane_prefix .. lane, string.format('%d', lane)
  local held = holds(redis.pcall('HMGET', at, 'run')[1], 'dscp', number)
  if held then
    changed = changed + call('SADD', leased, number) + call('SREM', free, number)
  else
    changed = changed + call('DEL', at) + call('SREM', leased, number) + call('SADD', free, number)
  end
end
for _, set in ipairs({free, leased}) do
  for _, member in ipairs(call('SMEMBERS', set)) do
    local number = string.match(member, '^%d%d$') and tonumber(member) or 0
    if number < tonumber(lane_first) or number > tonumber(lane_last) then changed = changed + call('SREM', set, member) end
  end
end
for _, queue in ipairs(call('ZRANGE', workers, 0, -1)) do
  local id = redis.pcall('HMGET', worker_prefix .. queue, 'run')[1]
  if id and not holds(id, 'queue', queue) then changed = changed + call('HDEL', worker_prefix .. queue, 'run') end
end
return {'tidied', changed}
