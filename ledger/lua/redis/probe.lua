#!lua
-- PURPOSE: learn whether the server accepts writes now; it has no flags, so what refuses `submit` refuses this too
-- KEYS:
-- ARGV:
-- RETURNS: accepted
redis.call('TIME')
return {'accepted'}
