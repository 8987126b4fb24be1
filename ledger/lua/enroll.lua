#!lua
-- PURPOSE: add a user; with `first` only when there is none at all
-- KEYS: user users events
-- ARGV: name role password by first events_max
-- RETURNS: enrolled | exists | not-first
local user, users, events = unpack(KEYS)
local name, role, password, by, first, events_max = unpack(ARGV)

if redis.call('EXISTS', user) == 1 then return {'exists'} end
if redis.call('SCARD', users) > 0 and first == '1' then return {'not-first'} end
redis.call('XLEN', events)

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', user, 'role', role, 'password', password, 'created_ms', now, 'changed_ms', now, 'by', by)
redis.call('SADD', users, name)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'user-added', 'by', by, 'user', name, 'role', role)
return {'enrolled'}
