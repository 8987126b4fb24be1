"""What a router's routes show about the links of its interfaces: gateways and hosts outside an interface's own subnets.

The kernel accepts a gateway only if it is on the link of the route's device. A gateway of a route is therefore on that
link even if it is outside the interface's subnets (cloud servers with a /32, flannel). The same is true of the
destination of a route without a gateway (Calico, routed containers). Pure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

from netlab.facts.reader import RouterFacts


def hops(route: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the next hops of a route that were not dead on the router.

    If a route has a single next hop, its entry is used as the next hop.
    """
    return [
        hop
        for hop in route.get("nexthops") or (route,)
        if isinstance(hop, dict) and "dead" not in (hop.get("flags") or ())
    ]


def gateways(router: RouterFacts) -> list[tuple[str, IPv4Address, bool]]:
    """Return (interface, gateway, `onlink`) of every route, sorted and without duplicates.

    If a route does not have `onlink`, the kernel has checked that its gateway is on the link.
    """
    named = {
        (hop["dev"], hop["gateway"], "onlink" in (hop.get("flags") or ()))
        for route in router.routes
        for hop in hops(route.data)
        if isinstance(hop.get("dev"), str) and isinstance(hop.get("gateway"), str)
    }
    found = []
    for interface, text, forced in named:
        try:
            found.append((interface, IPv4Address(text), forced))
        except AddressValueError:
            continue  # an IPv6 gateway
    return sorted(found)


def destinations(router: RouterFacts) -> Iterator[tuple[str, IPv4Network]]:
    """Yield (interface, destination) of every route without a gateway.

    Default routes and the kernel's own routes are left out.
    """
    for route in router.routes:
        data = route.data
        if data.get("protocol") == "kernel" or data.get("dst") == "default" or data.get("type", "unicast") != "unicast":
            continue
        for hop in hops(data):
            if "gateway" in hop or "via" in hop or not isinstance(hop.get("dev"), str):
                continue
            try:
                yield hop["dev"], IPv4Network(str(data.get("dst")))
            except (AddressValueError, NetmaskValueError, ValueError):
                continue  # an IPv6 route


def tunnel_routes(router: RouterFacts, tunnels: Container[str]) -> dict[IPv4Network, str]:
    """Return destination -> interface for all routes into the interfaces `tunnels`, except default routes."""
    found: dict[IPv4Network, str] = {}
    for route in router.routes:
        if route.data.get("type", "unicast") != "unicast" or route.data.get("dst") == "default":
            continue
        for hop in hops(route.data):
            if hop.get("dev") in tunnels:
                with contextlib.suppress(ValueError):  # an IPv6 route
                    network = IPv4Network(str(route.data.get("dst")))
                    if network.prefixlen > 1:  # 0.0.0.0/1 is half of a default route
                        found[network] = str(hop["dev"])
    return found


def longest(routes: dict[IPv4Network, str], address: IPv4Address) -> str | None:
    """Return the interface of the route with the longest prefix for the address, or None."""
    host = IPv4Network(address)
    wider = (host.supernet(new_prefix=length) for length in range(32, 0, -1))
    return next((routes[network] for network in wider if network in routes), None)


def default_devices(router: RouterFacts) -> frozenset[str]:
    """Return the interfaces through which the router's default routes leave, in any table."""
    return frozenset(
        str(hop["dev"])
        for route in router.routes
        if route.data.get("dst") in ("default", "0.0.0.0/1") and route.data.get("type", "unicast") == "unicast"
        for hop in hops(route.data)
        if "dev" in hop
    )


def default_gateways(router: RouterFacts) -> frozenset[IPv4Address]:
    """Return the gateways of the router's default routes, in any table."""
    gateways = set()
    for route in router.routes:
        if route.data.get("dst") != "default":
            continue
        for hop in hops(route.data):
            try:
                gateways.add(IPv4Address(hop["gateway"]))
            except (KeyError, ValueError, TypeError):
                continue  # no gateway, or an IPv6 one
    return frozenset(gateways)
