#!lua flags=allow-oom
-- PURPOSE: remove a user, with all sessions and tokens
-- KEYS: user users sessions tokens events
-- ARGV: name by events_max user_prefix session_prefix token_prefix
-- RETURNS: expelled | last-admin | missing
local user, users, sessions, tokens, events = unpack(KEYS)
local name, by, events_max, user_prefix, session_prefix, token_prefix = unpack(ARGV)

local role = redis.call('HGET', user, 'role')
if not role then return {'missing'} end
local members = redis.call('SMEMBERS', users)
local open, held = redis.call('SMEMBERS', sessions), redis.call('SMEMBERS', tokens)
redis.call('XLEN', events)
if role == 'admin' then
  local admins = 0
  for _, each in ipairs(members) do
    if redis.pcall('HGET', user_prefix .. each, 'role') == 'admin' then admins = admins + 1 end
  end
  if admins <= 1 then return {'last-admin'} end
end

for _, hash in ipairs(open) do redis.call('DEL', session_prefix .. hash) end
for _, hash in ipairs(held) do redis.call('DEL', token_prefix .. hash) end
redis.call('DEL', user, sessions, tokens)
redis.call('SREM', users, name)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'user-removed', 'by', by, 'user', name)
return {'expelled'}
