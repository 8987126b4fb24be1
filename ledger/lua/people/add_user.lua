#!lua
-- PURPOSE: add a user; with `first` only if there is no user. The first user also sets the id of the Redis data.
-- KEYS: user users events store_id
-- ARGV: name role password by first fresh_id events_max
-- RETURNS: enrolled | exists | not-first

if call('EXISTS', user) == 1 then return {'exists'} end
local others = call('SCARD', users)
if others > 0 and first == '1' then return {'not-first'} end
call('XLEN', events)

-- INCLUDE clock
call('HSET', user, 'role', role, 'password', password, 'created_ms', now, 'changed_ms', now, 'by', by)
call('SADD', users, name)
if others == 0 then call('SET', store_id, fresh_id, 'NX') end
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'user-added', 'by', by, 'user', name, 'role', role)
return {'enrolled'}
