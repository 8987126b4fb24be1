-- NEEDS:
-- The parts of a leadership lock: dispatcher, layout and epoch. A version before layout 2 wrote none: it is nil then. All three
-- are nil for a damaged lock.
local function parts_of_lock(lock)
  local who, version, term = string.match(lock, '^(.+) v(%d+) (%d+)$')
  if not who then who, term = string.match(lock, '^(.+) (%d+)$') end
  return who, version, term
end
