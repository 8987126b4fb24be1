#!lua flags=allow-oom
-- PURPOSE: remove a successful attempt to sign in from the counts
-- KEYS: name address
-- ARGV:
-- RETURNS: forgiven
-- The count of the name is reset. The count of the address is reduced by one only; otherwise any account could clear it.

local counted = tonumber(call('GET', address) or 0) or 0
call('DEL', name)
if counted > 0 then call('DECR', address) end
return {'forgiven'}
