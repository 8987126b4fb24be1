"""The bench as a service on a unix socket: JSON lines, one connection per attempt, only for its own user and root.

client ──socket──▶ listener ──▶ server ──▶ attempts (who may use which lane) ──▶ executor ──▶ quick/, detailed/
"""
