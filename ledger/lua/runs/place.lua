#!lua flags=allow-oom
-- PURPOSE: put a run into the lists that its record requires, and remove it from all others
-- KEYS: leader leases free leased pending_quick pending_detailed pending_bulk running_quick running_detailed running_bulk finished deferred_quick deferred_detailed deferred_bulk
-- ARGV: epoch id lease_ms behind_own surplus_prefix run_prefix worker_prefix lane_prefix job_prefix
-- RETURNS: sound | placed | conflict lane | stale-epoch
-- The record is sound. A waiting run that is in no queue goes to its old place, or back into its user's surplus if its
-- wait code is `behind_own`; settle.lua then counts. `conflict`: another run has the lane, or this run has another lane.
-- INCLUDE leads
-- INCLUDE of_host
if not leads() then return {'stale-epoch'} end
-- INCLUDE clock
local run, changed = run_prefix .. id, 0
local state, mode, user, seq, turn, code, lane, token, fence, queue, worker, finished_ms, host =
  unpack(call('HMGET', run, 'state', 'mode', 'user', 'seq', 'turn', 'wait_code', 'dscp', 'token', 'fence', 'queue', 'worker', 'finished_ms', 'host'))
if not pending[mode or ''] then return {'sound'} end
local waits, holds = state == 'pending', state == 'promoted' or state == 'running'
local surplus = surplus_prefix .. mode .. ':' .. (user or '')

local function turn_at(list, at)
  local found = redis.pcall('HMGET', run_prefix .. call('LINDEX', list, at), 'turn', 'seq')
  return tonumber(found[1] or found[2] or '') or 0
end

local function into(list, own) -- the turn increases along the queue: binary search
  local low, high = 0, call('LLEN', list)
  if high == 0 or turn_at(list, high - 1) <= own then return call('RPUSH', list, id) end
  while low < high do
    local middle = math.floor((low + high) / 2)
    if turn_at(list, middle) <= own then low = middle + 1 else high = middle end
  end
  return call('LINSERT', list, 'BEFORE', call('LINDEX', list, low), id)
end

if holds and lane then
  local at = lane_of(lane_prefix, host, lane)
  local holder = call('HGET', at, 'run')
  local rival = holder and holder ~= id and redis.pcall('HMGET', run_prefix .. holder, 'state', 'dscp', 'host') or {}
  if (rival[1] == 'promoted' or rival[1] == 'running') and rival[2] == lane and of_host('', rival[3]) == of_host('', host) then return {'conflict', lane} end
  for number = 32, 63 do
    if tostring(number) ~= lane and redis.pcall('HGET', lane_of(lane_prefix, host, number), 'run') == id then return {'conflict', lane} end
  end
  if holder ~= id or call('HGET', at, 'token') ~= token or call('SISMEMBER', of_host(leased, host), lane) == 0 then
    call('DEL', at)
    call('HSET', at, 'run', id, 'token', token or '', 'fence', fence or 0, 'since_ms', now)
    if worker then call('HSET', at, 'worker', worker) end
    call('SADD', of_host(leased, host), lane)
    changed = 1
  end
  changed = changed + call('SREM', of_host(free, host), lane)
end

for other in pairs(pending) do
  if other ~= mode then
    changed = changed + call('LREM', pending[other], 0, id) + call('ZREM', surplus_prefix .. other .. ':' .. (user or ''), id)
    changed = changed + call('SREM', running[other], id)
  end
end
if waits then
  local there, beyond = #call('LPOS', pending[mode], id, 'COUNT', 0), call('ZSCORE', surplus, id)
  local keep = beyond and 0 or 1
  for _ = keep + 1, there do changed = changed + call('LREM', pending[mode], -1, id) end
  if not beyond and there == 0 then
    if code == behind_own then call('ZADD', surplus, seq, id) else into(pending[mode], tonumber(turn or seq)) end
    changed = changed + 1
  end
  call('ZADD', deferred[mode], 'NX', t[1], id)
else
  changed = changed + call('LREM', pending[mode], 0, id) + call('ZREM', surplus, id)
  call('ZREM', deferred[mode], id)
end
if holds then
  changed = changed + call('SADD', running[mode], id)
  if not call('ZSCORE', leases, id) then changed = changed + call('ZADD', leases, now + lease_ms, id) end
  local serves = redis.pcall('HMGET', worker_prefix .. queue, 'name', 'run')
  if serves[1] and not serves[2] and (not worker or serves[1] == worker) then call('HSET', worker_prefix .. queue, 'run', id) end
elseif call('ZSCORE', leases, id) == false or waits or tonumber(call('ZSCORE', leases, id)) <= now then
  changed = changed + call('SREM', running[mode], id) + call('ZREM', leases, id)
end
if not (waits or holds) then changed = changed + call('ZADD', finished, 'NX', finished_ms or now, id) + call('DEL', job_prefix .. id) else changed = changed + call('ZREM', finished, id) end
local moved = changed > 0
return {moved and 'placed' or 'sound'}
