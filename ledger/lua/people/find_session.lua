#!lua flags=no-writes
-- PURPOSE: return the user of a session, and the user's current role
-- KEYS: session
-- ARGV: idle_ms max_ms user_prefix
-- RETURNS: recognised role ms field value... | unknown
-- A damaged record of a session or user identifies no user. The script only reads, so that signed-in users can still read pages
-- while Redis cannot write; touch.lua records the use.

local said = redis.pcall('HMGET', session, 'user', 'created_ms', 'seen_ms')
local user, created, seen = said[1], tonumber(said[2] or ''), tonumber(said[3] or '')
if not (user and created and seen) then return {'unknown'} end
-- INCLUDE clock
if now - created > tonumber(max_ms) or now - seen > tonumber(idle_ms) then return {'unknown'} end
local role = redis.pcall('HGET', user_prefix .. user, 'role')
if type(role) ~= 'string' then return {'unknown'} end
return {'recognised', role, now, unpack(call('HGETALL', session))}
