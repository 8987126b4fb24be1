#!lua flags=allow-oom
-- PURPOSE: take the request to restart the bench, once
-- KEYS: restart
-- ARGV: lapse_ms
-- RETURNS: taken by | none
-- A request that is older than lapse_ms, or from the future, is dropped: the clock was changed, and the request is out of date.

local request = call('GET', restart)
if not request then return {'none'} end

call('DEL', restart)
local by, since = string.match(request, '^(.*) (%d+)$')
local t = call('TIME')
local age = t[1] * 1000 + math.floor(t[2] / 1000) - (tonumber(since) or 0)
if age < -1000 or age > tonumber(lapse_ms) then return {'none'} end
return {'taken', by}
