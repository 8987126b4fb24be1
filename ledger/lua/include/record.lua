-- NEEDS: run_prefix
-- The fields of a run by name; `err` when its key has a wrong type.
local function record(id, ...)
  local values = redis.pcall('HMGET', run_prefix .. id, ...)
  local run = {err = values.err}
  for i, name in ipairs({...}) do run[name] = values[i] or nil end
  return run
end
