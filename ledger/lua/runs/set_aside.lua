#!lua flags=allow-oom
-- PURPOSE: end a run whose record is damaged, and remove it from all lists; if the record is missing, release what the run still holds
-- KEYS: leader leases hosts free leased pending_quick pending_detailed pending_bulk running_quick running_detailed running_bulk finished events deferred_quick deferred_detailed deferred_bulk waiting_quick waiting_detailed waiting_bulk workers damaged
-- ARGV: epoch id field value what needed bench lease_ms keep_ms notes_max events_max surplus_prefix run_prefix worker_prefix lane_prefix job_prefix queue_prefix aside_prefix
-- RETURNS: set-aside | released | held | sound | changed | stale-epoch
-- `field` has `value` (`missing`: there is no such field); `changed`: it no longer has. `what` describes the damage for people;
-- empty: the record is missing. The field is removed, unless the record of an ended run needs it (`needed` 1). `held`: the
-- worker may still be testing, so the run keeps slot and lane until its lease expires. The counts of waiting runs are not
-- corrected: settle.lua does that. move_away.lua handles a key of a wrong type.
-- INCLUDE clock
-- INCLUDE leads
-- INCLUDE of_host
local run, aside = run_prefix .. id, false
if not leads() then return {'stale-epoch'} end

local is = call('TYPE', run).ok
local ended, state, mode, user = {done = true, failed = true, cancelled = true}, '', '', ''
if is == 'hash' then
  local was = call('HMGET', run, field, 'state', 'mode', 'user')
  if value == 'missing' and was[1] or value ~= 'missing' and was[1] ~= string.sub(value, 2) then return {'changed'} end
  state, mode, user = was[2] or '', was[3] or '', was[4] or ''
end
local name = is == 'hash' and id or run
if what ~= '' and (is ~= 'hash' or needed == '0' or not ended[state] or call('HEXISTS', damaged, name) == 0) then
  aside = true
  if call('HLEN', damaged) < tonumber(notes_max) then call('HSET', damaged, name, string.format('%d ', now) .. what) end
  call('PEXPIRE', damaged, keep_ms)
  call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'damaged', 'run', id, 'bench', bench, 'mode', mode, 'user', user,
    'field', field, 'value', string.sub(value, 2, 201), 'what', what)
  if is == 'hash' and needed == '0' then call('HDEL', run, field) end
  if is == 'hash' and not ended[state] then
    call('HSET', run, 'state', 'failed', 'finished_ms', now, 'error', 'set aside: ' .. what)
    call('HDEL', run, 'token', 'wait_code', 'wait_reason')
    call('ZADD', finished, now, id)
    call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'failed', 'run', id, 'bench', bench, 'mode', mode, 'user', user, 'why', 'set aside: ' .. what)
  elseif is ~= 'hash' and is ~= 'none' then
    local kept = aside_prefix .. string.format('%d:', now) .. run
    call('RENAME', run, kept)
    call('PEXPIRE', kept, keep_ms)
  end
end
local removed = 0
local function off(reply) removed = removed + (tonumber(reply) or 0) end
if is ~= 'hash' then off(call('ZREM', finished, id)) end
for each in pairs(pending) do
  off(redis.pcall('LREM', pending[each], 0, id))
  for _, owner in ipairs(call('HKEYS', waiting[each])) do
    off(redis.pcall('ZREM', surplus_prefix .. each .. ':' .. owner, id))
  end
  off(call('ZREM', deferred[each], id))
end
local deadline = tonumber(call('ZSCORE', leases, id) or '')
if deadline and deadline > now then
  call('ZADD', leases, math.min(deadline, now + lease_ms), id)
  return {aside and 'set-aside' or 'held'}
end
for _, slots in pairs(running) do off(call('SREM', slots, id)) end
off(call('ZREM', leases, id) + call('DEL', job_prefix .. id))
for _, host in ipairs({'local', unpack(call('ZRANGE', hosts, 0, -1))}) do
  for lane = 32, 63 do
    if redis.pcall('HGET', lane_of(lane_prefix, host, lane), 'run') == id then
      off(call('DEL', lane_of(lane_prefix, host, lane)))
      call('SMOVE', of_host(leased, host), of_host(free, host), lane)
    end
  end
end
for _, queue in ipairs(call('ZRANGE', workers, 0, -1)) do
  if redis.pcall('HGET', worker_prefix .. queue, 'run') == id then
    off(call('HDEL', worker_prefix .. queue, 'run'))
    redis.pcall('LREM', queue_prefix .. queue, 0, id)
  end
end
local released = removed > 0
if aside then return {'set-aside'} end
return {released and 'released' or 'sound'}
