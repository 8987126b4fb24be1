#!lua flags=allow-oom
-- PURPOSE: take the request to start the bench anew, once
-- KEYS: restart
-- ARGV:
-- RETURNS: taken by | none
local restart = KEYS[1]

local request = redis.call('GET', restart)
if not request then return {'none'} end

redis.call('DEL', restart)
return {'taken', string.match(request, '^(.*) %d+$') or ''}
