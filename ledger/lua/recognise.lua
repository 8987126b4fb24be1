#!lua flags=no-writes
-- PURPOSE: say whose session this is, and what role its user has now
-- KEYS: session
-- ARGV: idle_ms max_ms user_prefix
-- RETURNS: recognised role ms field value... | unknown
-- It only reads, so that who is signed in can go on looking while Redis cannot write; touch.lua does the rest.
local session = KEYS[1]
local idle_ms, max_ms, user_prefix = unpack(ARGV)

local user, created, seen = unpack(redis.call('HMGET', session, 'user', 'created_ms', 'seen_ms'))
if not user then return {'unknown'} end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if now - created > tonumber(max_ms) or now - seen > tonumber(idle_ms) then return {'unknown'} end
local role = redis.call('HGET', user_prefix .. user, 'role')
if not role then return {'unknown'} end
return {'recognised', role, now, unpack(redis.call('HGETALL', session))}
