#!lua flags=allow-oom
-- PURPOSE: revoke an API token
-- KEYS: token tokens events
-- ARGV: hash by events_max
-- RETURNS: revoked | missing
local token, tokens, events = unpack(KEYS)
local hash, by, events_max = unpack(ARGV)

local id, owner, name = unpack(redis.call('HMGET', token, 'id', 'user', 'name'))
if not owner then return {'missing'} end
redis.call('SCARD', tokens)
redis.call('XLEN', events)

redis.call('DEL', token)
redis.call('SREM', tokens, hash)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'token-revoked', 'by', by, 'user', owner, 'token', id, 'name', name)
return {'revoked'}
