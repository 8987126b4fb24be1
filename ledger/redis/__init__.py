"""Access to Redis itself: connection, keys, scripts, access rights, and whether the server is suitable.

Most of it does not depend on runs.
"""
