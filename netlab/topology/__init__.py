"""How routers are connected. Pure.

- `wires`: which interfaces are on one wire; each wire is one of the `segments`.
- `topology`: the segments of a network, and which router owns an address.
- `host_gateways`: which router is the default gateway of a host.
- `ingress`: where a packet meets the first router.
- `next_stop`: what receives a packet that a router sends.
"""
