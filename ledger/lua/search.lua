#!lua flags=no-writes
-- PURPOSE: find runs, newest first: those that wait or hold a slot, or a stretch of those that have ended
-- KEYS: pending_quick pending_detailed running_quick running_detailed finished
-- ARGV: part after at_most skip limit run_prefix user state mode verdict words...
-- RETURNS: found matches next records
-- `part` is open (the at_most newest of each line, then what holds a slot) or ended (at_most runs, from `after` on, which is
-- where `next` of the call before stood; empty: the newest, and no more to come). An empty filter lets everything through;
-- `user` is = and a name. Each of `words...`, in lower case, is the start of the id or of an address, or a service: 443,
-- 443/tcp, icmp. records: id, field, value... of each match but the first `skip`, `limit` of them.
local waits, held, finished = {KEYS[1], KEYS[2]}, {KEYS[3], KEYS[4]}, KEYS[5]
local part, after, at_most, skip, limit, run_prefix, user, state, mode, verdict = unpack(ARGV, 1, 10)
local matches, records, fields, wanted = 0, {}, {}, {}
for field, value in pairs({user = user, state = state, mode = mode, verdict = verdict}) do
  if value ~= '' then
    fields[#fields + 1], wanted[#wanted + 1] = field, field == 'user' and string.sub(value, 2) or value
  end
end
if #ARGV > 10 then for _, field in ipairs({'services', 'source', 'destination'}) do fields[#fields + 1] = field end end

local function says(word, id, services, source, destination)
  for _, text in ipairs({id, source, destination}) do
    if string.sub(text, 1, #word) == word then return true end
  end
  return string.find(services, ',' .. word .. ',', 1, true) or string.find(services, ',' .. word .. '/', 1, true)
end

local function fits(id)
  if #fields == 0 then return true end
  local found = redis.call('HMGET', run_prefix .. id, unpack(fields))
  for i, value in ipairs(wanted) do if found[i] ~= value then return false end end
  if #ARGV == 10 then return true end
  local services, source, destination = unpack(found, #wanted + 1)
  if not services then return false end
  services = ',' .. services .. ','
  for i = 11, #ARGV do if not says(ARGV[i], id, services, source or '', destination or '') then return false end end
  return true
end

local function look(ids)
  for _, id in ipairs(ids) do
    if fits(id) then
      matches = matches + 1
      if matches > tonumber(skip) and #records < tonumber(limit) then
        records[#records + 1] = {id, unpack(redis.call('HGETALL', run_prefix .. id))}
      end
    end
  end
end

local function newest_first(ids, others)
  local seq = {}
  for _, id in ipairs(others) do ids[#ids + 1] = id end
  for _, id in ipairs(ids) do seq[id] = tonumber(redis.call('HGET', run_prefix .. id, 'seq') or 0) end
  table.sort(ids, function(a, b) return seq[a] > seq[b] end)
  return ids
end

if part == 'open' then
  look(newest_first(redis.call('LRANGE', waits[1], -at_most, -1), redis.call('LRANGE', waits[2], -at_most, -1)))
  look(newest_first(redis.call('SMEMBERS', held[1]), redis.call('SMEMBERS', held[2])))
  return {'found', matches, '', records}
end
local from = after == '' and 0 or redis.call('ZREVRANK', finished, after)
if not from then return {'found', 0, '', {}} end -- it was trimmed, and all that are older with it
if after ~= '' then from = from + 1 end
local ids = redis.call('ZREVRANGE', finished, from, from + at_most - 1)
look(ids)
return {'found', matches, #ids == tonumber(at_most) and ids[#ids] or '', records}
