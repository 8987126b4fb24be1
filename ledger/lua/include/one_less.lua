-- NEEDS: call surplus_prefix waiting line_max pending run_prefix seq
-- A waiting run of the user left the queue: the oldest run of the user's surplus moves to the end of the queue.
local function one_less(mode, user)
  local surplus = surplus_prefix .. mode .. ':' .. user
  local beyond = call('ZCARD', surplus)
  local mine = math.max(beyond, (tonumber(call('HGET', waiting[mode], user)) or 1) - 1)
  if mine > 0 then call('HSET', waiting[mode], user, mine) else call('HDEL', waiting[mode], user) end
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
