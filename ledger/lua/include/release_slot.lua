-- NEEDS: call leases free leased running worker_prefix lane_prefix of_host lane_of
-- Take slot, lease, lane and worker from a run; returns whether the worker still had it. A record of the worker that has a
-- wrong type raises an error before anything is written, so this comes before the other writes of a script.
local function release_slot(id, mode, queue, host, lane)
  local worker = worker_prefix .. queue
  local given = call('HGET', worker, 'run') == id
  call('SREM', running[mode], id)
  call('ZREM', leases, id)
  if lane and redis.pcall('HGET', lane_of(lane_prefix, host, lane), 'run') == id then
    call('SMOVE', of_host(leased, host), of_host(free, host), lane)
    call('DEL', lane_of(lane_prefix, host, lane))
  end
  if given then call('HDEL', worker, 'run') end
  return given
end
