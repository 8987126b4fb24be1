-- NEEDS: call leader epoch
-- Whether the dispatcher of this epoch still leads.
local function leads() return string.match(call('GET', leader) or '', ' (%d+)$') == epoch end
