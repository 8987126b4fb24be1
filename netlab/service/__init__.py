"""The bench as a service on a unix socket: JSON lines, one connection for one attempt, peers of the same user only.

client ──socket──▶ listener ──▶ server ──▶ attempts (who may use which lane) ──▶ executor ──▶ quick/, detailed/
"""
