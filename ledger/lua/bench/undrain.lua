#!lua flags=allow-oom
-- PURPOSE: end the drain of a host: runs start there again
-- KEYS: drained events
-- ARGV: host by bench events_max
-- RETURNS: resumed | not-drained

if call('HEXISTS', drained, host) == 0 then return {'not-drained'} end
call('XLEN', events)

call('HDEL', drained, host)
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'host-resumed', 'bench', bench, 'host', host, 'by', by)
return {'resumed'}
