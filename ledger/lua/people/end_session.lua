#!lua flags=allow-oom
-- PURPOSE: end a session
-- KEYS: session events
-- ARGV: hash by events_max sessions_prefix
-- RETURNS: dismissed | missing
-- An empty `by`: the user of the session signs out.
local session, events = unpack(KEYS)
local hash, by, events_max, sessions_prefix = unpack(ARGV)

local user = redis.pcall('HGET', session, 'user')
if type(user) ~= 'string' then return {'missing'} end
redis.call('SCARD', sessions_prefix .. user)
redis.call('XLEN', events)

redis.call('DEL', session)
redis.call('SREM', sessions_prefix .. user, hash)
redis.call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'signed-out', 'by', by == '' and user or by, 'user', user)
return {'dismissed'}
