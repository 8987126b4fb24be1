"""What the topology asks the routers' kernels about their routes. Pure; netlab/quick/walk.py asks the kernels."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from netlab.topology.segments import IfaceRef


class Routing(Protocol):
    """The routing tables and policy rules of all routers of one network."""

    def lookup(
        self, name: str, destination: IPv4Address, source: IPv4Address | None, iif: str
    ) -> tuple[str, IfaceRef | None, IPv4Address | None]:
        """Return ("local", "out" or "none"; outgoing port; next hop) for a packet that came in on `iif` ("": its own)."""

    def hops(
        self, name: str, destination: IPv4Address
    ) -> tuple[IPv4Network | None, list[tuple[IfaceRef, IPv4Address]]]:
        """Return the network of the route that the router itself would use, and (port, next hop) of each next hop.

        The network is None, and there are no next hops, if there is no route.
        """
