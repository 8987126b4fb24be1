#!lua flags=allow-oom
-- PURPOSE: append to the audit trail an action of a user that changed no run and no bench
-- KEYS: events
-- ARGV: kind by events_max fields...
-- RETURNS: noted
-- `fields...`: name, value pairs.

call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', kind, 'by', by, unpack(ARGV, fields_at))
return {'noted'}
