#!lua
-- PURPOSE: store a snapshot of a network, whose files are already stored; a refused snapshot is stored again
-- KEYS: snapshot contents snapshots unchecked file_uses events networks
-- ARGV: facts bench unlisted by digest events_max file_prefix fields files...
-- RETURNS: stored now | known state | lacking hash | conflict | no-network
-- `fields`: how many of `files...` are name, value pairs of the record; the rest is path, hash pairs. A hash is empty for
-- a file of which only the name is kept. no-network: the network is not in `networks`, as it must be unless `unlisted` is 1.
-- `lacking`: a file that is not stored (any more); nothing was changed.

if unlisted ~= '1' and not call('ZSCORE', networks, bench) then return {'no-network'} end
local state, same = unpack(call('HMGET', snapshot, 'state', 'digest'))
if same and same ~= digest then return {'conflict'} end
local first = files_at + tonumber(fields)
for i = first + 1, #ARGV, 2 do
  if ARGV[i] ~= '' and call('EXISTS', file_prefix .. ARGV[i]) == 0 then return {'lacking', ARGV[i]} end
end
call('ZCARD', snapshots)
call('SCARD', unchecked)
call('HLEN', contents)
call('HLEN', file_uses)
call('XLEN', events)

for i = first, #ARGV, 2 do
  if ARGV[i + 1] ~= '' then call('PERSIST', file_prefix .. ARGV[i + 1]) end
end
if state and state ~= 'refused' then return {'known', state} end
-- INCLUDE clock

call('HDEL', snapshot, 'problems')
call('HSET', snapshot, 'state', 'checking', 'digest', digest, 'by', by, 'pushed_ms', now)
for i = files_at, first - 1, 2 do call('HSET', snapshot, ARGV[i], ARGV[i + 1]) end
if not state then
  for i = first, #ARGV, 2 do
    call('HSET', contents, ARGV[i], ARGV[i + 1])
    if ARGV[i + 1] ~= '' then call('HINCRBY', file_uses, ARGV[i + 1], 1) end
  end
end
call('ZADD', snapshots, now, facts)
call('SADD', unchecked, facts)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'pushed', 'bench', bench, 'by', by, 'facts', facts)
return {'stored', now}
