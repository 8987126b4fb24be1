#!lua flags=allow-oom
-- PURPOSE: take the leadership of a bench, or renew it; a new term also initializes lanes and fence
-- KEYS: leader epoch events free leased fence dispatchers status leases hosts
-- ARGV: dispatcher bench lock_ms longest_ms events_max lane_first lane_last version
-- RETURNS: taken epoch | renewed epoch | led
-- The server's clock may have been set back. Then the lock of a dead leader and the lease of a dead worker would last longer
-- by this step: each is shortened to its maximum duration, the lock by the followers, leases (to `longest_ms`) by the leader.

-- INCLUDE clock
-- INCLUDE of_host
-- INCLUDE parts_of_lock
local holder = call('GET', leader)
-- Every caller is alive, including followers. This is only displayed, and must not prevent a dispatcher from leading.
local function seen() redis.pcall('ZADD', dispatchers, now, dispatcher) end
local who, _, term = parts_of_lock(holder or '')
if who then -- a lock without the name of a dispatcher is damaged, and is taken
  local left = call('PTTL', leader)
  if who == dispatcher or left < 0 or left > tonumber(lock_ms) then call('PEXPIRE', leader, lock_ms) end
  if who ~= dispatcher then seen() return {'led'} end
  for _, id in ipairs(call('ZRANGE', leases, now + longest_ms + 1, '+inf', 'BYSCORE', 'LIMIT', 0, 64)) do
    call('ZADD', leases, now + longest_ms, id)
  end
  seen()
  return {'renewed', term}
end

call('XLEN', events)
call('SCARD', free)
call('SCARD', leased)
local last = tonumber(call('GET', fence) or 0) or 0
local fence_seen, named = 0, redis.pcall('ZRANGE', hosts, 0, -1)
for _, host in ipairs({'local', unpack(named.err and {} or named)}) do
  local reported = redis.pcall('HGET', of_host(status, host), 'fence')
  local seen_there = type(reported) == 'string' and tonumber(reported) or 0
  if seen_there <= 2 ^ 53 then fence_seen = math.max(fence_seen, seen_there) end
end
if last > 2 ^ 53 then last = 0 end

-- A lost counter continues above any possible earlier term: from the clock in s. Before the first term it starts at 1.
if call('EXISTS', epoch) == 0 and call('EXISTS', fence) == 1 then call('SET', epoch, t[1]) end
term = call('INCR', epoch)
call('SET', leader, string.format('%s v%s %d', dispatcher, version, term), 'PX', lock_ms)
-- A bench may have outlived a server that was emptied or went back to an older state: fences continue above the clock in
-- ms, which is ahead of any count of attempts, and above the highest one that a bench has reported.
call('SET', fence, string.format('%d', math.max(last, now, fence_seen)))
for lane = lane_first, lane_last do
  if call('SISMEMBER', leased, lane) == 0 then call('SADD', free, lane) end
end
seen()
redis.pcall('ZREMRANGEBYSCORE', dispatchers, '-inf', now - 3600000)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'led', 'bench', bench,
  'dispatcher', dispatcher, 'epoch', term)
return {'taken', term}
