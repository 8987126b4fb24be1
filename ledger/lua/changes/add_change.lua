#!lua
-- PURPOSE: store a comparison of two snapshots, and forget the oldest ones beyond the number kept
-- KEYS: change changes events networks
-- ARGV: id bench unlisted user keep events_max change_prefix fields...
-- RETURNS: added ms | exists | no-network
-- `fields...`: name, value pairs of the record; an empty value is not stored.
if call('EXISTS', change) == 1 then return {'exists'} end
if unlisted ~= '1' and not call('ZSCORE', networks, bench) then return {'no-network'} end
call('XLEN', events)

-- INCLUDE clock
local record = {'user', user, 'created_ms', now}
for i = fields_at, #ARGV, 2 do
  if ARGV[i + 1] ~= '' then record[#record + 1], record[#record + 2] = ARGV[i], ARGV[i + 1] end
end
call('ZADD', changes, now, id)
call('HSET', change, unpack(record))
local extra = call('ZCARD', changes) - tonumber(keep)
for _, old in ipairs(extra > 0 and call('ZRANGE', changes, 0, extra - 1) or {}) do
  call('DEL', change_prefix .. old)
  call('ZREM', changes, old)
end
call('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'compared', 'bench', bench, 'by', user, 'change', id)
return {'added', now}
