#!lua flags=allow-oom
-- PURPOSE: record that a session or token was just used; this extends a session
-- KEYS: record user
-- ARGV: field idle_ms max_ms
-- RETURNS: touched | gone
-- A token does not expire: its idle_ms is 0. A session or token that was revoked meanwhile is not created again.
local record, user = unpack(KEYS)
local field, idle_ms, max_ms = unpack(ARGV)

local created = tonumber(redis.call('HGET', record, 'created_ms') or '')
if not created or not redis.call('HGET', user, 'role') then return {'gone'} end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', record, field, now)
redis.call('HSET', user, 'seen_ms', now)
if idle_ms ~= '0' then redis.call('PEXPIRE', record, math.min(idle_ms, created + max_ms - now)) end
return {'touched'}
