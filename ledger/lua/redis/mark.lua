#!lua flags=allow-oom
-- PURPOSE: set the id of Redis data that has users but no id to `fresh`
-- KEYS: users store_id
-- ARGV: fresh
-- RETURNS: marked | no-users
local users, store_id = unpack(KEYS)
local fresh = unpack(ARGV)

if redis.call('SCARD', users) == 0 then return {'no-users'} end
redis.call('SET', store_id, fresh, 'NX')
return {'marked'}
