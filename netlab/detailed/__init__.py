"""A detailed run: a real connection for each service between real hosts, both directions, every rule.

plan ──▶ run: connection and capture (the kernel's trace) ──▶ follow (each packet through the routers) ──▶ answer
"""
