#!lua flags=allow-oom
-- PURPOSE: end a running attempt: store its answer, release slot and lane; accepted once, for this token only
-- KEYS: run result leases free leased running_quick running_detailed finished events workers job hits
-- ARGV: id token outcome verdict stopped_by error document events_max worker_prefix lane_prefix hits_keep_ms hits...
-- RETURNS: accepted | refused
-- `outcome` is the final state: done, failed or cancelled; an empty verdict, stopped_by, error or document is not stored.
-- `hits...`: a rule and the number of answers it decided. They are written last and may fail: the run ends without them as well.
local run, result, leases, free, leased, running_quick, running_detailed, finished, events, workers, job, hits = unpack(KEYS)
local id, token, outcome, verdict, stopped_by, error, document, events_max, worker_prefix, lane_prefix, hits_keep_ms = unpack(ARGV, 1, 11)

local state, holder, mode, queue, lane, bench, user, started =
  unpack(redis.call('HMGET', run, 'state', 'token', 'mode', 'queue', 'dscp', 'bench', 'user', 'started_ms'))
if state ~= 'running' or holder ~= token then return {'refused'} end
for _, zset in ipairs({leases, finished, workers}) do redis.call('ZCARD', zset) end
for _, set in ipairs({free, leased, running_quick, running_detailed}) do redis.call('SCARD', set) end
redis.call('STRLEN', result)
redis.call('XLEN', events)
local given = redis.call('HGET', worker_prefix .. queue, 'run')

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', run, 'state', outcome, 'finished_ms', now)
if verdict ~= '' then redis.call('HSET', run, 'verdict', verdict) end
if stopped_by ~= '' then redis.call('HSET', run, 'stopped_by', stopped_by) end
if error ~= '' then redis.call('HSET', run, 'error', error) end
if document ~= '' then redis.call('SET', result, document) end
redis.call('DEL', job)
redis.call('SREM', mode == 'quick' and running_quick or running_detailed, id)
redis.call('ZREM', leases, id)
if lane and redis.pcall('HGET', lane_prefix .. lane, 'run') == id then
  redis.call('SMOVE', leased, free, lane)
  redis.call('DEL', lane_prefix .. lane)
end
if given == id then redis.call('HDEL', worker_prefix .. queue, 'run') end
redis.call('ZADD', workers, 'XX', now, queue)
redis.call('ZADD', finished, now, id)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', outcome == 'done' and 'finished' or outcome,
  'run', id, 'bench', bench, 'mode', mode, 'user', user or '', 'verdict', verdict, 'run_ms', now - (tonumber(started) or now))
for i = 12, #ARGV, 2 do
  redis.pcall('HINCRBY', hits, ARGV[i], ARGV[i + 1])
  redis.pcall('HSET', hits, 'last ' .. ARGV[i], now)
end
if #ARGV > 11 then redis.call('PEXPIRE', hits, hits_keep_ms) end
return {'accepted'}
