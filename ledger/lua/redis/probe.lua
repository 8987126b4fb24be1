#!lua
-- PURPOSE: check whether the server accepts writes now; the script has no flags, so it is refused whenever `submit` is
-- KEYS:
-- ARGV:
-- RETURNS: accepted
call('TIME')
return {'accepted'}
