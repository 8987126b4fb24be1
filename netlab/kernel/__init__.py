"""Interfaces to the kernel: netlink, namespaces, mounts, packet filter tables, trace events, confined tools.

The modules here do not depend on the packages for routers and runs.
"""
