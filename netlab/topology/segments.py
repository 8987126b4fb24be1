"""A segment: one wire with its subnets and the router interfaces in them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple


class IfaceRef(NamedTuple):
    """One interface of one router."""

    router: str
    interface: str

    def __str__(self) -> str:
        return f"{self.router}:{self.interface}"


@dataclass(frozen=True)
class Segment:
    """One subnet (several after segments were merged) and the router interfaces in it."""

    name: str
    networks: tuple[IPv4Network, ...]
    ports: tuple[IfaceRef, ...]
    gateways: frozenset[IPv4Address]
    """Default gateways on this segment that no router owns. They belong to the provider."""

    def reserves(self, address: IPv4Address) -> bool:
        """Whether this is the network address or the broadcast address of a subnet, which no host can have.

        A /31 has neither (RFC 3021).
        """
        return any(n.prefixlen < 31 and address in (n.network_address, n.broadcast_address) for n in self.networks)

    def holds(self, address: IPv4Address) -> bool:
        """Whether the address is in one of the segment's subnets."""
        return any(address in network for network in self.networks)

    def subnet(self, address: IPv4Address) -> IPv4Network | None:
        """Return the longest of the segment's subnets that contains the address.

        This is the subnet of a host with the address.
        """
        return max((n for n in self.networks if address in n), key=lambda n: n.prefixlen, default=None)
