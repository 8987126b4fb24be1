#!lua flags=allow-oom
-- PURPOSE: make the lanes of a host, and all workers, agree with the runs that hold them, and remove invalid lanes
-- KEYS: leader leases hosts free leased workers status
-- ARGV: epoch host lane_first lane_last run_prefix worker_prefix lane_prefix
-- RETURNS: tidied count | stale-epoch
-- One of several hosts, whose last worker was silent for an hour and which holds no lane, is forgotten.
-- A lane or worker stays with an ended run until the run's lease expires, because its worker may still be testing.
-- INCLUDE leads
-- INCLUDE of_host
if not leads() then return {'stale-epoch'} end
local changed = 0
free, leased = of_host(free, host), of_host(leased, host)

local function holds(id, field, value, on)
  if not id then return false end
  if call('ZSCORE', leases, id) then return true end
  local said = redis.pcall('HMGET', run_prefix .. id, 'state', field, 'host')
  return (said[1] == 'promoted' or said[1] == 'running') and said[2] == value and (not on or of_host('', said[3]) == of_host('', on))
end

for lane = lane_first, lane_last do
  local number = string.format('%d', lane)
  local at = lane_of(lane_prefix, host, number)
  local held = holds(redis.pcall('HMGET', at, 'run')[1], 'dscp', number, host)
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
-- INCLUDE clock
local beat = tonumber(redis.pcall('ZSCORE', hosts, host) or '')
if beat and beat < now - 3600000 and call('ZCARD', hosts) > 1 and call('SCARD', leased) == 0 then
  call('ZREM', hosts, host)
  call('DEL', of_host(status, host))
  if not is_local(host) then call('DEL', free, leased) end
end
return {'tidied', changed}
