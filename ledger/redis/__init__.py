"""Redis itself: connection, keys, scripts, access rights, and whether the server is suitable. Independent of runs."""
