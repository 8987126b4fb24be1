#!lua flags=allow-oom
-- PURPOSE: record that a session or token was just used; this extends a session
-- KEYS: record user
-- ARGV: field idle_ms max_ms
-- RETURNS: touched | gone
-- A token does not expire: its idle_ms is 0. A session or token that was revoked meanwhile is not created again.

local created = tonumber(call('HGET', record, 'created_ms') or '')
if not created or not call('HGET', user, 'role') then return {'gone'} end
-- INCLUDE clock
call('HSET', record, field, now)
call('HSET', user, 'seen_ms', now)
if idle_ms ~= '0' then call('PEXPIRE', record, math.min(idle_ms, created + max_ms - now)) end
return {'touched'}
