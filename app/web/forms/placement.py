"""Finds where an address is located in the network, in words for a quick check while typing. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from netlab.topology.topology import Topology


@dataclass(frozen=True, slots=True)
class Placement:
    """Location of an address. `kind` is `host`, `router`, `edge`, `no-host` or `wrong`, and `words` describes it."""

    kind: str
    words: str


def place(topology: Topology, address: IPv4Address) -> Placement:
    """Return the location of an address: its segment and the segment's routers, or the router that owns it."""
    if owners := topology.owned_by(address):
        return Placement("router", f"{owners[0].router}’s own address ({owners[0].interface})")
    segment = topology.segment_holding(address)
    if segment is None:
        return Placement("edge", "not in any known subnet; treated as external")
    if segment.reserves(address):
        return Placement("no-host", f"not a host address: the network or broadcast address of segment {segment.name}")
    behind = ", ".join(dict.fromkeys(f"{port.router} ({port.interface})" for port in segment.ports))
    return Placement("host", f"segment {segment.name}, behind {behind}")
