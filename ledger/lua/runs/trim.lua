#!lua flags=allow-oom
-- PURPOSE: delete the oldest ended runs beyond the number kept: record, result, log and RQ's keys of them
-- KEYS: finished
-- ARGV: keep at_most run_prefix result_suffix log_suffix questions_suffix rq_prefixes...
-- RETURNS: trimmed count

local extra = math.min(call('ZCARD', finished) - keep, tonumber(at_most))
if extra <= 0 then return {'trimmed', 0} end

local popped = call('ZPOPMIN', finished, extra)
for i = 1, #popped, 2 do
  local run = run_prefix .. popped[i]
  call('DEL', run, run .. result_suffix, run .. log_suffix, run .. questions_suffix)
  for j = rq_prefixes_at, #ARGV do call('DEL', ARGV[j] .. popped[i]) end
end
return {'trimmed', extra}
