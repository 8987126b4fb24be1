#!lua flags=allow-oom
-- PURPOSE: take an attempt to sign in back: it was a success
-- KEYS: name address
-- ARGV:
-- RETURNS: forgiven
-- The name starts anew; the address gets back this one only, or any account would clear it.
local name, address = unpack(KEYS)

local counted = tonumber(redis.call('GET', address) or 0) or 0
redis.call('DEL', name)
if counted > 0 then redis.call('DECR', address) end
return {'forgiven'}
