#!lua flags=allow-oom
-- PURPOSE: revoke an API token
-- KEYS: token tokens events
-- ARGV: hash by events_max
-- RETURNS: revoked | missing

local id, owner, name = unpack(call('HMGET', token, 'id', 'user', 'name'))
if not owner then return {'missing'} end
call('SCARD', tokens)
call('XLEN', events)

call('DEL', token)
call('SREM', tokens, hash)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'token-revoked', 'by', by, 'user', owner, 'token', id, 'name', name)
return {'revoked'}
