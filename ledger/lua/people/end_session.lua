#!lua flags=allow-oom
-- PURPOSE: end a session
-- KEYS: session events
-- ARGV: hash by events_max sessions_prefix
-- RETURNS: dismissed | missing
-- An empty `by`: the user of the session signs out.

local user = redis.pcall('HGET', session, 'user')
if type(user) ~= 'string' then return {'missing'} end
call('SCARD', sessions_prefix .. user)
call('XLEN', events)

call('DEL', session)
call('SREM', sessions_prefix .. user, hash)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'signed-out', 'by', by == '' and user or by, 'user', user)
return {'dismissed'}
