#!lua flags=no-writes
-- PURPOSE: read everything that the dispatcher decides on, at one instant; of the queue only a window
-- KEYS: workers leases pending_quick pending_detailed pending_bulk running_quick running_detailed running_bulk paused waiting_quick waiting_detailed waiting_bulk status drained
-- ARGV: window alive_ms run_prefix worker_prefix
-- RETURNS: view now deadline waits running waiting idle paused hosts
-- deadline: of the lease that expires first, 0 if there is no lease
-- waits: how many quick, detailed and bulk runs wait in total, in the queue and in the surplus
-- running: id, mode, state, host...; waiting: id, mode, state, mode of the record, turn, submitted_ms, overtaken, wait_code...;
-- idle: queue, mode, host...
-- idle omits a worker that has not begun its last run, unless this applies to all workers of its mode, and a worker whose
-- heartbeat is in the future: the clock was set back, and the worker may be dead
-- paused: by, why, since_ms; empty if it is not paused
-- hosts: name, drained (1 or empty), state and error as JSON, reported_ms..., of each host with a worker or a run; the last three
-- are empty before its bench has reported
-- INCLUDE clock
-- INCLUDE of_host
local holding, line, idle, deaf, listens, hosts, known = {}, {}, {}, {}, {}, {}, {}
local function of(values, count) -- '' for a value that is missing or unreadable
  for i = 1, count do values[i] = values[i] or '' end
  return unpack(values, 1, count)
end
local function add(list, ...)
  local from, values = #list, {...}
  for i = 1, #values do list[from + i] = values[i] end
end

local function meet(host)
  if is_local(host) then host = 'local' end
  if not known[host] then
    known[host] = true
    local state, error, reported = of(redis.pcall('HMGET', of_host(status, host), 'state', 'error', 'reported_ms'), 3)
    if state == '' or reported == '' then state, error, reported = '', '', '' end
    add(hosts, host, call('HEXISTS', drained, host) == 1 and '1' or '', state, error, reported)
  end
  return host
end

for _, mode in ipairs({'quick', 'detailed', 'bulk'}) do
  for _, id in ipairs(call('SMEMBERS', running[mode])) do
    local state, host = of(redis.pcall('HMGET', run_prefix .. id, 'state', 'host'), 2)
    add(holding, id, mode, state, meet(host))
  end
  for _, id in ipairs(call('LRANGE', pending[mode], 0, window - 1)) do
    local state, really, seq, turn, ms, overtaken, code =
      of(redis.pcall('HMGET', run_prefix .. id, 'state', 'mode', 'seq', 'turn', 'submitted_ms', 'overtaken', 'wait_code'), 7)
    add(line, id, mode, state, really, turn == '' and seq or turn, ms, overtaken == '' and '0' or overtaken, code)
  end
end
for _, queue in ipairs(call('ZRANGEBYSCORE', workers, now - alive_ms, now + 1000)) do
  local mode, busy, missed, host = of(redis.pcall('HMGET', worker_prefix .. queue, 'mode', 'run', 'missed_ms', 'host_name'), 4)
  host = meet(host)
  local serves = pending[mode] ~= nil
  if serves and missed == '' then listens[mode] = true end
  if serves and busy == '' then add(missed ~= '' and deaf or idle, queue, mode, host) end
end
for i = 1, #deaf, 3 do if not listens[deaf[i + 1]] then add(idle, deaf[i], deaf[i + 1], deaf[i + 2]) end end
if #hosts == 0 then meet('local') end
local function total(counts)
  local sum = 0
  for _, count in ipairs(call('HVALS', counts)) do sum = sum + (tonumber(count) or 0) end
  return sum
end
local pause = call('HLEN', paused) > 0 and {of(call('HMGET', paused, 'by', 'why', 'since_ms'), 3)} or {}
local first = call('ZRANGE', leases, 0, 0, 'WITHSCORES')
return {'view', now, tonumber(first[2] or 0), {total(waiting.quick), total(waiting.detailed), total(waiting.bulk)}, holding, line, idle, pause, hosts}
