#!lua flags=allow-oom
-- PURPOSE: set the id of Redis data that has users but no id to `fresh`
-- KEYS: users store_id
-- ARGV: fresh
-- RETURNS: marked | no-users

if call('SCARD', users) == 0 then return {'no-users'} end
call('SET', store_id, fresh, 'NX')
return {'marked'}
