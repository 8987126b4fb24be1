#!lua flags=allow-oom
-- PURPOSE: count an attempt to sign in, for the name and for the address, unless one of them has too many
-- KEYS: name address
-- ARGV: name_max address_max window_ms
-- RETURNS: ok | wait ms
-- Counted before the password is checked, so that parallel attempts cannot exceed the limit. The window begins with the first
-- attempt; a refused attempt does not extend it.
local limits = {tonumber(name_max), tonumber(address_max)}

local wait = -1
for i, key in ipairs(KEYS) do
  local counted = redis.pcall('GET', key)
  local number = type(counted) == 'string' and tonumber(counted)
  if counted and not (number and number < 2 ^ 31) then -- damaged: count from zero
    call('DEL', key)
  elseif (number or 0) >= limits[i] then wait = math.max(wait, call('PTTL', key)) end
end
if wait >= 0 then return {'wait', math.max(wait, 1)} end

for _, key in ipairs(KEYS) do
  if call('INCR', key) == 1 then call('PEXPIRE', key, window_ms) end
end
return {'ok'}
