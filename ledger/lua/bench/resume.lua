#!lua flags=allow-oom
-- PURPOSE: resume this bench: waiting runs may start again
-- KEYS: paused events
-- ARGV: bench by events_max
-- RETURNS: resumed | not-paused

if call('HLEN', paused) == 0 then return {'not-paused'} end
call('XLEN', events)

call('DEL', paused)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'resumed', 'bench', bench, 'by', by)
return {'resumed'}
