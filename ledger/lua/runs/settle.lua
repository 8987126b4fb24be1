#!lua
-- PURPOSE: restore the order of one mode: count the waiting runs and questions of each user, and move runs between the queue and the surplus
-- KEYS: pending waiting seq queued_questions
-- ARGV: mode from at_most line_max line_limit wait_code wait_reason run_prefix surplus_prefix
-- RETURNS: settled moved | more moved from
-- For data of an older version, and for wrong counts: all other scripts keep the order. The first call (`from` 0) counts; each
-- call examines `at_most` runs, starting at the end of the queue. A user keeps `line_limit` runs in the queue, and has at least
-- `line_max` there while there is a surplus. A user with a surplus also has a run in the queue.
local length, moved = call('LLEN', pending), 0
call('GET', seq)
call('HLEN', queued_questions)

local function record(id) -- user, seq; nil for an unreadable record
  local user, own_seq = unpack(redis.pcall('HMGET', run_prefix .. id, 'user', 'seq'))
  return user or '', tonumber(own_seq)
end

local asked = {} -- by user: the questions of all waiting runs
local function count_questions(user, ids)
  if mode ~= 'bulk' then return end
  for _, id in ipairs(ids) do
    asked[user] = (asked[user] or 0) + (tonumber(redis.pcall('HGET', run_prefix .. id, 'questions')) or 1)
  end
end

local over = false
if from == '0' then
  local in_line, beyond = {}, {}
  for _, name in ipairs(call('HKEYS', waiting)) do in_line[name] = 0 end
  for first = 0, length - 1, 1000 do
    for _, id in ipairs(call('LRANGE', pending, first, first + 999)) do
      local user = record(id)
      in_line[user] = (in_line[user] or 0) + 1
      count_questions(user, {id})
    end
  end
  for name, count in pairs(in_line) do
    beyond[name] = call('ZCARD', surplus_prefix .. name)
    over = over or count > tonumber(line_limit)
    for first = 0, beyond[name] - 1, 1000 do
      if mode == 'bulk' then count_questions(name, call('ZRANGE', surplus_prefix .. name, first, first + 999)) end
    end
  end
  call('DEL', waiting)
  if mode == 'bulk' then
    call('DEL', queued_questions)
    for name, count in pairs(asked) do call('HSET', queued_questions, name, count) end
  end
  for name, count in pairs(in_line) do
    if count + beyond[name] > 0 then call('HSET', waiting, name, count + beyond[name]) end
    local up = call('ZPOPMIN', surplus_prefix .. name, math.max(0, line_max - count))
    for i = 1, #up, 2 do
      call('RPUSH', pending, up[i])
      if redis.pcall('HEXISTS', run_prefix .. up[i], 'seq') == 1 then
        call('HSET', run_prefix .. up[i], 'turn', call('INCR', seq))
        call('HDEL', run_prefix .. up[i], 'wait_code', 'wait_reason')
      end
      moved = moved + 1
    end
  end
  if not over then return {'settled', moved} end
  length = call('LLEN', pending)
end

local last, in_line = length - from, {}
local first = math.max(0, last - at_most)
local ids = last > 0 and call('LRANGE', pending, first, last - 1) or {}
for i = #ids, 1, -1 do
  local id = ids[i]
  local user, own_seq = record(id)
  local surplus = surplus_prefix .. user
  in_line[user] = in_line[user] or (tonumber(call('HGET', waiting, user)) or 0) - call('ZCARD', surplus)
  if own_seq and in_line[user] > tonumber(line_limit) then
    call('LREM', pending, -1, id)
    call('ZADD', surplus, own_seq, id)
    call('HSET', run_prefix .. id, 'wait_code', wait_code, 'wait_reason', wait_reason)
    in_line[user], moved = in_line[user] - 1, moved + 1
  else
    from = from + 1
  end
end
if first == 0 then return {'settled', moved} end
return {'more', moved, from}
