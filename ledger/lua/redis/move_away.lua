#!lua flags=allow-oom
-- PURPOSE: rename a key of a wrong type, or a counter that is not a number, so that the key can be rebuilt
-- KEYS: found aside damaged events
-- ARGV: kind seed bench keep_ms notes_max events_max
-- RETURNS: moved | sound
-- `seed`: the value from which a counter continues; 'clock': ms on Redis's clock, which is above any count; empty: not a counter.
-- A missing counter is created as well. A renamed key expires after `keep_ms`.
local is = call('TYPE', found).ok
local t = call('TIME')
local now = string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000))
local value = is == 'string' and seed ~= '' and call('GET', found)
if is == 'none' and seed == '' or is == kind and (seed == '' or value and #value < 16 and string.match(value, '^%d+$')) then return {'sound'} end

local what = 'its type is ' .. is .. ', not ' .. kind
if is == kind then what = "it holds '" .. string.sub(value, 1, 80) .. "', which is not a number" end
if is == 'none' then what = 'it is missing' end
if is ~= 'none' then
  call('RENAME', found, aside)
  call('PEXPIRE', aside, keep_ms)
end
if seed ~= '' then call('SET', found, now) end
if redis.pcall('HLEN', damaged) ~= tonumber(notes_max) then
  redis.pcall('HSET', damaged, found, now .. ' ' .. what)
  call('PEXPIRE', damaged, keep_ms)
end
redis.pcall('XADD', events, 'MAXLEN', '~', events_max, '*', 'kind', 'damaged', 'bench', bench, 'key', found, 'what', what,
  'moved', is ~= 'none' and aside or '')
return {'moved'}
