#!lua flags=allow-oom
-- PURPOSE: store the layout of this version, unless a newer version has worked with this server or another version works with it now
-- KEYS: layout workers leader
-- ARGV: ours alive_ms worker_prefix
-- RETURNS: agreed | newer number | mixed worker queue host | mixed dispatcher id
-- A live worker has another version if its record has another layout or none, and so has the dispatcher whose lock has another
-- layout or none. A worker without a readable record and a lock that never expires are damage, which is repaired elsewhere. A
-- layout that is not a number is replaced.

-- INCLUDE clock
-- INCLUDE parts_of_lock
local function readable(reply) -- nil for a key of a wrong type
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE') then error(reply) end
end

local stored = string.match(readable(redis.pcall('GET', layout)) or '', '^%d+$')
if stored and #stored < 10 and tonumber(stored) > tonumber(ours) then return {'newer', stored} end
for _, queue in ipairs(readable(redis.pcall('ZRANGEBYSCORE', workers, now - alive_ms, now + 1000)) or {}) do
  local name, host, its = unpack(readable(redis.pcall('HMGET', worker_prefix .. queue, 'name', 'host', 'layout')) or {})
  if name and its ~= ours then return {'mixed', 'worker', queue, host or ''} end
end
local dispatcher, its = parts_of_lock(readable(redis.pcall('GET', leader)) or '')
if dispatcher and its ~= ours and call('PTTL', leader) >= 0 then return {'mixed', 'dispatcher', dispatcher} end

if stored ~= ours then call('SET', layout, ours) end
return {'agreed'}
