#!lua flags=allow-oom
-- PURPOSE: take one attempt to sign in back: it was not looked at
-- KEYS: name address
-- ARGV:
-- RETURNS: retracted
-- Unlike reset_login_attempts.lua the name keeps its others, or a flood would clear them.
for _, key in ipairs(KEYS) do
  if (tonumber(redis.call('GET', key) or 0) or 0) > 0 then redis.call('DECR', key) end
end
return {'retracted'}
