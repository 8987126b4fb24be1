-- NEEDS: call
-- `t`: the time of the server in s and us; `now`: the same in ms.
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
