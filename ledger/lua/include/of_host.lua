-- NEEDS:
-- The key of a host for one of its kinds. The host without a name of its own, `local`, has the key without a suffix.
local function is_local(host) return not host or host == '' or host == 'local' end
local function of_host(key, host) return is_local(host) and key or key .. ':' .. host end
local function lane_of(prefix, host, lane) return prefix .. (is_local(host) and '' or host .. ':') .. lane end
