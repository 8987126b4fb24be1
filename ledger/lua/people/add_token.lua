#!lua
-- PURPOSE: store a new API token of a user
-- KEYS: user token tokens events
-- ARGV: hash id owner name by tokens_max events_max
-- RETURNS: granted role ms | missing | too-many
local user, token, tokens, events = unpack(KEYS)
local hash, id, owner, name, by, tokens_max, events_max = unpack(ARGV)

local role = redis.call('HGET', user, 'role')
if not role then return {'missing'} end
if redis.call('SCARD', tokens) >= tonumber(tokens_max) then return {'too-many'} end
redis.call('HLEN', token)
redis.call('XLEN', events)

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', token, 'id', id, 'user', owner, 'name', name, 'created_ms', now)
redis.call('SADD', tokens, hash)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'token-made', 'by', by, 'user', owner, 'token', id, 'name', name)
return {'granted', role, now}
