#!lua flags=allow-oom
-- PURPOSE: remove an attempt to sign in from the counts, because it was not checked
-- KEYS: name address
-- ARGV:
-- RETURNS: retracted
-- Unlike in reset_login_attempts.lua, the other attempts of the name stay counted; otherwise a flood would clear them.
for _, key in ipairs(KEYS) do
  if (tonumber(call('GET', key) or 0) or 0) > 0 then call('DECR', key) end
end
return {'retracted'}
