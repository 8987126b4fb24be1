"""A detailed run: one real connection per service between real hosts, in both directions, with every deciding rule.

plan ──▶ run: connection and capture (the kernel's trace) ──▶ follow (each packet through the routers) ──▶ answer
"""
