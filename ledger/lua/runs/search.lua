#!lua flags=no-writes
-- PURPOSE: find runs, newest first: those that wait or hold a slot, or a section of those that have ended
-- KEYS: pending_quick pending_detailed pending_bulk running_quick running_detailed running_bulk finished waiting_quick waiting_detailed waiting_bulk
-- ARGV: part after at_most skip limit run_prefix surplus_prefix source destination user verdict state mode bench id_start words...
-- RETURNS: found matches next records
-- `part` is open (the at_most newest runs of each queue, the same number of the surplus runs, shared between users, then the runs
-- that hold a slot) or ended (at_most runs, starting at `after`, the `next` of the previous call; empty: from the newest, or as
-- `next`: no more runs). An empty filter matches everything; `user` is = and a name. Each of `words...`, in lower case, is the
-- start of the id or of an address, or a service: 443, 443/tcp, icmp. `id_start` is the start of the id. records: id, field,
-- value... of each match except the first `skip`, at most `limit` of them.
local matches, records, fields, wanted, words = 0, {}, {}, {}, {unpack(ARGV, words_at)}
skip, limit = tonumber(skip), tonumber(limit)
for _, filter in ipairs({{'source', source}, {'destination', destination}, {'user', user}, {'verdict', verdict}, {'state', state}, {'mode', mode}, {'bench', bench}}) do
  local field, value = unpack(filter)
  if value ~= '' then fields[#fields + 1], wanted[#wanted + 1] = field, field == 'user' and string.sub(value, 2) or value end
end
if #words > 0 then for _, field in ipairs({'services', 'source', 'destination'}) do fields[#fields + 1] = field end end

local function starts(id) return string.sub(id, 1, #id_start) == id_start end

local function list(reply) return reply.err and {} or reply end -- a key of a wrong type counts as empty

local function says(word, id, services, source, destination)
  for _, text in ipairs({id, source, destination}) do
    if string.sub(text, 1, #word) == word then return true end
  end
  return string.find(services, ',' .. word .. ',', 1, true) or string.find(services, ',' .. word .. '/', 1, true)
end

local function fits(id, found, at) -- found[at + 1] and following: the values of `fields` in the run's record
  if not starts(id) then return false end
  for i, value in ipairs(wanted) do if found[at + i] ~= value then return false end end
  if #words == 0 then return true end
  local services, source, destination = unpack(found, at + #wanted + 1, at + #wanted + 3)
  if not services then return false end
  services = ',' .. services .. ','
  for _, word in ipairs(words) do if not says(word, id, services, source or '', destination or '') then return false end end
  return true
end

local function take(id)
  matches = matches + 1
  if matches > skip and #records < limit then records[#records + 1] = {id, unpack(list(redis.pcall('HGETALL', run_prefix .. id)))} end
end

local function newest_first(...)
  local ids, seq = {}, {}
  for _, some in ipairs({...}) do for _, id in ipairs(some) do if starts(id) then ids[#ids + 1] = id end end end
  for _, id in ipairs(ids) do seq[id] = tonumber(list(redis.pcall('HMGET', run_prefix .. id, 'seq'))[1] or '') or 0 end
  table.sort(ids, function(a, b) return seq[a] > seq[b] end)
  return ids
end

-- The newest surplus runs of one mode; the users with such runs share `at_most`.
local function beyond(mode)
  local surplus, ids = {}, {}
  for _, owner in ipairs(user == '' and list(redis.pcall('HKEYS', waiting[mode])) or {string.sub(user, 2)}) do
    local key = surplus_prefix .. mode .. ':' .. owner
    if call('TYPE', key).ok == 'zset' then surplus[#surplus + 1] = key end
  end
  for _, key in ipairs(surplus) do
    for _, id in ipairs(call('ZREVRANGE', key, 0, math.ceil(at_most / #surplus) - 1)) do ids[#ids + 1] = id end
  end
  return ids
end

local function look(ids)
  for _, id in ipairs(ids) do
    if #fields == 0 or fits(id, list(redis.pcall('HMGET', run_prefix .. id, unpack(fields))), 0) then take(id) end
  end
end

if part == 'open' then
  local waits, holds = {}, {}
  for each, line in pairs(pending) do
    waits[#waits + 1], waits[#waits + 2] = list(redis.pcall('LRANGE', line, -at_most, -1)), beyond(each)
    holds[#holds + 1] = list(redis.pcall('SMEMBERS', running[each]))
  end
  look(newest_first(unpack(waits)))
  look(newest_first(unpack(holds)))
  return {'found', matches, '', records}
end

if call('TYPE', finished).ok ~= 'zset' then return {'found', 0, '', {}} end
if #fields == 0 and id_start == '' then -- counting needs no record
  matches = skip
  for _, id in ipairs(limit > 0 and call('ZREVRANGE', finished, skip, skip + limit - 1) or {}) do take(id) end
  return {'found', call('ZCARD', finished), '', records}
end

local from = after == '' and 0 or call('ZREVRANK', finished, after)
if not from then return {'found', 0, '', {}} end -- it was trimmed, and so were all older runs
if after ~= '' then from = from + 1 end
-- Each of these four filters leaves few runs: the first one that is given decides for which runs the other fields are read.
local asked = source .. destination .. user .. verdict ~= '' and 1 or #fields
local sort = {'SORT_RO', finished, 'BY', 'nosort', 'DESC', 'LIMIT', from, at_most, 'GET', '#'} -- one call for a whole section
for i = 1, asked do sort[#sort + 1], sort[#sort + 2] = 'GET', run_prefix .. '*->' .. fields[i] end
local found, width = call(unpack(sort)), asked + 1
for at = 1, #found, width do
  if asked < #fields then
    if found[at + 1] == wanted[1] then look({found[at]}) end
  elseif fits(found[at], found, at) then
    take(found[at])
  end
end
return {'found', matches, #found == width * at_most and found[#found - asked] or '', records}
