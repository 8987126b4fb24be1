"""How routers are connected. Pure.

- `segments`: which interfaces share a segment, and which router owns an address.
- `ingress`: where a packet meets the first router.
- `next_stop`: what receives a packet that a router sends.
"""
