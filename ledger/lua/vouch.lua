#!lua flags=no-writes
-- PURPOSE: say whose API token this is, and what role its owner has now
-- KEYS: token
-- ARGV: user_prefix
-- RETURNS: vouched role ms field value... | unknown
local token = KEYS[1]
local user_prefix = ARGV[1]

local owner = redis.call('HGET', token, 'user')
if not owner then return {'unknown'} end
local role = redis.call('HGET', user_prefix .. owner, 'role')
if not role then return {'unknown'} end
local t = redis.call('TIME')
return {'vouched', role, t[1] * 1000 + math.floor(t[2] / 1000), unpack(redis.call('HGETALL', token))}
