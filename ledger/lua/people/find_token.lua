#!lua flags=no-writes
-- PURPOSE: return the owner of an API token, and the owner's current role
-- KEYS: token
-- ARGV: user_prefix
-- RETURNS: vouched role ms field value... | unknown
-- A damaged record of a token or user identifies no user.

local owner = redis.pcall('HGET', token, 'user')
if type(owner) ~= 'string' then return {'unknown'} end
local role = redis.pcall('HGET', user_prefix .. owner, 'role')
if type(role) ~= 'string' then return {'unknown'} end
local t = call('TIME')
return {'vouched', role, t[1] * 1000 + math.floor(t[2] / 1000), unpack(call('HGETALL', token))}
