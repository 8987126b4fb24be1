#!lua flags=allow-oom
-- PURPOSE: start a session of a user who was just authenticated by a password or a trusted proxy
-- KEYS: user session sessions events
-- ARGV: name hash csrf via address agent verified renewed idle_ms max_ms sessions_max events_max session_prefix
-- RETURNS: admitted role ms | changed | missing
-- `verified` is the password hash that was checked: it must still be the hash of the user; otherwise a change in the meantime
-- would not end this session. Empty: authenticated by a proxy. `renewed`, unless empty, replaces it.
local user, session, sessions, events = unpack(KEYS)
local name, hash, csrf, via, address, agent, verified, renewed = unpack(ARGV, 1, 8)
local idle_ms, max_ms, sessions_max, events_max, session_prefix = unpack(ARGV, 9)

local role, password = unpack(redis.call('HMGET', user, 'role', 'password'))
if not role then return {'missing'} end
if verified ~= '' and verified ~= password then return {'changed'} end
local open = redis.call('SMEMBERS', sessions)
redis.call('XLEN', events)

local live = {}
for _, each in ipairs(open) do
  local created = redis.pcall('HGET', session_prefix .. each, 'created_ms')
  if type(created) == 'string' then live[#live + 1] = {tonumber(created) or 0, each} else redis.call('SREM', sessions, each) end
end
table.sort(live, function(a, b) return a[1] < b[1] end)
for i = 1, #live - sessions_max + 1 do
  redis.call('DEL', session_prefix .. live[i][2])
  redis.call('SREM', sessions, live[i][2])
end

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', session, 'user', name, 'csrf', csrf, 'via', via, 'address', address, 'agent', agent, 'created_ms', now, 'seen_ms', now)
redis.call('PEXPIRE', session, math.min(idle_ms, max_ms))
redis.call('SADD', sessions, hash)
redis.call('PEXPIRE', sessions, max_ms)
redis.call('HSET', user, 'seen_ms', now)
if renewed ~= '' then redis.call('HSET', user, 'password', renewed) end
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'signed-in', 'by', name, 'user', name, 'via', via, 'address', address)
return {'admitted', role, now}
