#!lua flags=allow-oom
-- PURPOSE: start a session of a user who was just authenticated by a password or a trusted proxy
-- KEYS: user session sessions events
-- ARGV: name hash csrf via address agent verified renewed idle_ms max_ms sessions_max events_max session_prefix
-- RETURNS: admitted role ms | changed | missing
-- `verified` is the password hash that was checked: it must still be the hash of the user; otherwise a change in the meantime
-- would not end this session. Empty: authenticated by a proxy. `renewed`, unless empty, replaces it.

local role, password = unpack(call('HMGET', user, 'role', 'password'))
if not role then return {'missing'} end
if verified ~= '' and verified ~= password then return {'changed'} end
local open = call('SMEMBERS', sessions)
call('XLEN', events)

local live = {}
for _, each in ipairs(open) do
  local created = redis.pcall('HGET', session_prefix .. each, 'created_ms')
  if type(created) == 'string' then live[#live + 1] = {tonumber(created) or 0, each} else call('SREM', sessions, each) end
end
table.sort(live, function(a, b) return a[1] < b[1] end)
for i = 1, #live - sessions_max + 1 do
  call('DEL', session_prefix .. live[i][2])
  call('SREM', sessions, live[i][2])
end

-- INCLUDE clock
call('HSET', session, 'user', name, 'csrf', csrf, 'via', via, 'address', address, 'agent', agent, 'created_ms', now, 'seen_ms', now)
call('PEXPIRE', session, math.min(idle_ms, max_ms))
call('SADD', sessions, hash)
call('PEXPIRE', sessions, max_ms)
call('HSET', user, 'seen_ms', now)
if renewed ~= '' then call('HSET', user, 'password', renewed) end
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'signed-in', 'by', name, 'user', name, 'via', via, 'address', address)
return {'admitted', role, now}
