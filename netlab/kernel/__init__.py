"""The kernel's interfaces: netlink, namespaces, mounts, packet filter tables, trace events, confined tools.

Independent of routers and runs.
"""
