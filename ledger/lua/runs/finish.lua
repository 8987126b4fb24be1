#!lua flags=allow-oom
-- PURPOSE: end a running attempt: store its answer, release slot and lane; accepted once, for this token only
-- KEYS: run result leases free leased running_quick running_detailed running_bulk finished events workers job hits
-- ARGV: id token outcome verdict stopped_by error document events_max worker_prefix lane_prefix hits_keep_ms hits...
-- RETURNS: accepted | refused
-- `outcome` is the final state: done, failed or cancelled; an empty verdict, stopped_by, error or document is not stored.
-- `hits...`: a rule and the number of answers it decided. They are written last and may fail: the run ends without them as well.
-- INCLUDE of_host
-- INCLUDE release_slot

local state, holder, mode, queue, lane, bench, user, started, host =
  unpack(call('HMGET', run, 'state', 'token', 'mode', 'queue', 'dscp', 'bench', 'user', 'started_ms', 'host'))
if state ~= 'running' or holder ~= token then return {'refused'} end
for _, zset in ipairs({leases, finished, workers}) do call('ZCARD', zset) end
for _, set in ipairs({of_host(free, host), of_host(leased, host), running.quick, running.detailed, running.bulk}) do call('SCARD', set) end
call('STRLEN', result)
call('XLEN', events)
-- INCLUDE clock

release_slot(id, running[mode] and mode or 'detailed', queue, host, lane)
local ended = {'state', outcome, 'finished_ms', now}
local function add(field, value) if value ~= '' then ended[#ended + 1], ended[#ended + 2] = field, value end end
add('verdict', verdict)
add('stopped_by', stopped_by)
add('error', error)
call('HSET', run, unpack(ended))
if document ~= '' then call('SET', result, document) end
call('DEL', job)
call('ZADD', workers, 'XX', now, queue)
call('ZADD', finished, now, id)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', outcome == 'done' and 'finished' or outcome,
  'run', id, 'bench', bench, 'mode', mode, 'user', user or '', 'verdict', verdict, 'run_ms', now - (tonumber(started) or now))
for i = hits_at, #ARGV, 2 do
  redis.pcall('HINCRBY', hits, ARGV[i], ARGV[i + 1])
  redis.pcall('HSET', hits, 'last ' .. ARGV[i], now)
end
if #ARGV >= hits_at then call('PEXPIRE', hits, hits_keep_ms) end
return {'accepted'}
