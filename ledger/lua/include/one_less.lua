-- NEEDS: call surplus_prefix waiting line_max pending run_prefix seq queued_questions
-- A waiting run of the user left the queue: the oldest run of the user's surplus moves to the end of the queue.
-- `questions`: how many a bulk run has.
local function one_less(mode, user, questions)
  local surplus = surplus_prefix .. mode .. ':' .. user
  local beyond = call('ZCARD', surplus)
  local mine = math.max(beyond, (tonumber(call('HGET', waiting[mode], user)) or 1) - 1)
  if mine > 0 then call('HSET', waiting[mode], user, mine) else call('HDEL', waiting[mode], user) end
  if mode == 'bulk' then
    local left = (tonumber(call('HGET', queued_questions, user)) or 0) - (tonumber(questions) or 1)
    if left > 0 and mine > 0 then call('HSET', queued_questions, user, left) else call('HDEL', queued_questions, user) end
  end
  if beyond == 0 then return end
  local up = call('ZPOPMIN', surplus, math.max(0, line_max - mine + beyond))
  for i = 1, #up, 2 do
    call('RPUSH', pending[mode], up[i])
    if redis.pcall('HEXISTS', run_prefix .. up[i], 'seq') == 1 then
      call('HSET', run_prefix .. up[i], 'turn', call('INCR', seq))
      call('HDEL', run_prefix .. up[i], 'wait_code', 'wait_reason')
    end
  end
end
