"""The networks of an installation: each has its own snapshots, queue, lanes and workers.

Users, tokens, finished runs and the event stream belong to the whole installation. The name of a network is part of its
keys in Redis, where it is called the bench (`ledger/redis/keys.py`).
"""
