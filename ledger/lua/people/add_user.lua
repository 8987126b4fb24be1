#!lua
-- PURPOSE: add a user; with `first` only if there is no user. The first user also sets the id of the Redis data.
-- KEYS: user users events store_id
-- ARGV: name role password by first fresh_id events_max
-- RETURNS: enrolled | exists | not-first
local user, users, events, store_id = unpack(KEYS)
local name, role, password, by, first, fresh_id, events_max = unpack(ARGV)

if redis.call('EXISTS', user) == 1 then return {'exists'} end
local others = redis.call('SCARD', users)
if others > 0 and first == '1' then return {'not-first'} end
redis.call('XLEN', events)

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', user, 'role', role, 'password', password, 'created_ms', now, 'changed_ms', now, 'by', by)
redis.call('SADD', users, name)
if others == 0 then redis.call('SET', store_id, fresh_id, 'NX') end
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'user-added', 'by', by, 'user', name, 'role', role)
return {'enrolled'}
