#!lua flags=allow-oom
-- PURPOSE: remove a snapshot, and those of its files that no other snapshot has
-- KEYS: snapshot contents snapshots unchecked current file_uses events
-- ARGV: facts bench by events_max file_prefix
-- RETURNS: dropped | missing | current | pinned
-- A file whose uses are not known, because the counts were damaged, is kept: another snapshot may have it.

local pushed, pinned = unpack(call('HMGET', snapshot, 'pushed_ms', 'pinned_by'))
if not pushed then return {'missing'} end
if call('GET', current) == facts then return {'current'} end
if pinned then return {'pinned'} end
local files = call('HVALS', contents)
call('ZCARD', snapshots)
call('SCARD', unchecked)
call('HLEN', file_uses)
call('XLEN', events)

for _, hash in ipairs(files) do
  local uses = hash ~= '' and tonumber(call('HGET', file_uses, hash))
  if uses and uses > 1 then
    call('HINCRBY', file_uses, hash, -1)
  elseif uses then
    call('HDEL', file_uses, hash)
    call('DEL', file_prefix .. hash)
  end
end
call('DEL', snapshot, contents)
call('ZREM', snapshots, facts)
call('SREM', unchecked, facts)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'dropped', 'bench', bench, 'by', by, 'facts', facts)
return {'dropped'}
