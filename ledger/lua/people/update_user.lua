#!lua flags=allow-oom
-- PURPOSE: change the role or password of a user, and end the user's sessions except one
-- KEYS: user users sessions events
-- ARGV: name role password by keep events_max user_prefix session_prefix
-- RETURNS: amended | same | last-admin | missing
-- An empty role or password stays as it is; `keep` is the start of the hash of the session that stays.

local before = call('HGET', user, 'role')
if not before then return {'missing'} end
local members = call('SMEMBERS', users)
local open = call('SMEMBERS', sessions)
call('XLEN', events)
if role == before then role = '' end
if role == '' and password == '' then return {'same'} end
if role ~= '' and before == 'admin' then
  local admins = 0
  for _, each in ipairs(members) do
    if redis.pcall('HGET', user_prefix .. each, 'role') == 'admin' then admins = admins + 1 end
  end
  if admins <= 1 then return {'last-admin'} end
end

local t = call('TIME')
call('HSET', user, 'changed_ms', t[1] * 1000 + math.floor(t[2] / 1000), 'by', by)
for _, hash in ipairs(open) do
  if keep == '' or string.sub(hash, 1, #keep) ~= keep then
    call('DEL', session_prefix .. hash)
    call('SREM', sessions, hash)
  end
end
if role ~= '' then
  call('HSET', user, 'role', role)
  call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'user-changed', 'by', by, 'user', name, 'role', role)
end
if password ~= '' then
  call('HSET', user, 'password', password)
  call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'password-changed', 'by', by, 'user', name)
end
return {'amended'}
