"""The kernel's interfaces: netlink, namespaces, mounts, packet filter tables, trace events, confined tools.

Nothing here knows what a router or a run is.
"""
