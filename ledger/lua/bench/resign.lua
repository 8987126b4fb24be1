#!lua flags=allow-oom
-- PURPOSE: release the leadership, so that another dispatcher leads at once
-- KEYS: leader events
-- ARGV: dispatcher bench events_max
-- RETURNS: resigned | not-leader
local leader, events = unpack(KEYS)
local dispatcher, bench, events_max = unpack(ARGV)

local holder = redis.call('GET', leader)
if not holder or string.match(holder, '^(.*) %d+$') ~= dispatcher then return {'not-leader'} end
redis.call('XLEN', events)

redis.call('DEL', leader)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'resigned', 'bench', bench, 'dispatcher', dispatcher)
return {'resigned'}
