"""The bench as a service on a unix socket: JSON lines, one connection per attempt, only for its own user and root.

client ──socket──▶ listener ──▶ server ──▶ attempts (who may use which lane) ──▶ executor ──▶ quick/, detailed/

An attempt has one of three modes. A quick attempt asks one question at a time, and a detailed attempt runs one detailed
test. A bulk attempt sends up to 256 questions in one request. The executor answers quick attempts first, and walks slices
of the bulk runs in between (slices.py), so an interactive user hardly notices a bulk run.
"""
