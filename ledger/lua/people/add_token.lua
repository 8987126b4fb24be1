#!lua
-- PURPOSE: store a new API token of a user
-- KEYS: user token tokens events
-- ARGV: hash id owner name by tokens_max events_max
-- RETURNS: granted role ms | missing | too-many

local role = call('HGET', user, 'role')
if not role then return {'missing'} end
if call('SCARD', tokens) >= tonumber(tokens_max) then return {'too-many'} end
call('HLEN', token)
call('XLEN', events)

-- INCLUDE clock
call('HSET', token, 'id', id, 'user', owner, 'name', name, 'created_ms', now)
call('SADD', tokens, hash)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'token-made', 'by', by, 'user', owner, 'token', id, 'name', name)
return {'granted', role, now}
