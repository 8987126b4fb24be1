"""The same cases on fakeredis and on a real server: lane pool, order of waiting runs, views.

`make quick` runs them on fakeredis only, so that a change to a Lua script shows its effect within seconds. The whole
suite runs both, which shows that fakeredis is a fair stand-in for these scripts.
"""
