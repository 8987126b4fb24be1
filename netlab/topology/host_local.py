"""Finds interfaces with a subnet that exists only inside their router: docker0, virbr0, cni0, dummies. Pure.

Many routers have the same subnet there. Their interfaces are nevertheless separate segments.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network

from netlab.facts.reader import NetworkFacts, RouterFacts
from netlab.topology import on_link

_BRIDGES = re.compile(
    r"(?:docker|docker_gwbridge|podman|cni|cni-podman|cbr|virbr|lxdbr|lxcbr|incusbr|mpqemubr|nerdctl|br-[0-9a-f]{12})\d*\Z"
)
"""Matches the names of bridges that container runtimes and hypervisors create."""


def ports(facts: NetworkFacts) -> frozenset[tuple[str, str]]:
    """Return (router, interface) of each interface that is separate from all others with the same subnet.

    These are dummies, and bridges of container runtimes that several routers have with the same subnet. Such bridges
    are not separate if another router has a route to the subnet.
    """
    found: dict[IPv4Network, list[tuple[str, str]]] = {}
    silent: set[tuple[str, str]] = set()
    for router in facts.routers:
        for interface in router.interfaces:
            if "NOARP" in interface.flags and "POINTOPOINT" not in interface.flags:
                silent.add((router.name, interface.name))  # a dummy, or the interface of IPVS: it sends nothing
            elif _BRIDGES.match(interface.name):
                for address in interface.addresses:
                    found.setdefault(address.network, []).append((router.name, interface.name))
    shared = {network: ports for network, ports in found.items() if len({router for router, _ in ports}) > 1}
    return frozenset(silent) | frozenset(
        port
        for network, ports in shared.items()
        if not any(_leads_to(router, network) for router in facts.routers if router.name not in dict(ports))
        for port in ports
    )


def _leads_to(router: RouterFacts, network: IPv4Network) -> bool:
    """Whether the router has a route to the subnet or a part of it."""
    for route in router.routes:
        try:
            destination = IPv4Network(str(route.data.get("dst")))
        except ValueError:
            continue  # default, or IPv6
        if destination.subnet_of(network) and on_link.hops(route.data):
            return True
    return False
