#!lua flags=allow-oom
-- PURPOSE: remove a user, with all sessions and tokens
-- KEYS: user users sessions tokens events
-- ARGV: name by events_max user_prefix session_prefix token_prefix
-- RETURNS: expelled | last-admin | missing

local role = call('HGET', user, 'role')
if not role then return {'missing'} end
local members = call('SMEMBERS', users)
local open, held = call('SMEMBERS', sessions), call('SMEMBERS', tokens)
call('XLEN', events)
if role == 'admin' then
  local admins = 0
  for _, each in ipairs(members) do
    if redis.pcall('HGET', user_prefix .. each, 'role') == 'admin' then admins = admins + 1 end
  end
  if admins <= 1 then return {'last-admin'} end
end

for _, hash in ipairs(open) do call('DEL', session_prefix .. hash) end
for _, hash in ipairs(held) do call('DEL', token_prefix .. hash) end
call('DEL', user, sessions, tokens)
call('SREM', users, name)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'user-removed', 'by', by, 'user', name)
return {'expelled'}
