"""Routes with several next hops (ECMP): every next hop is tested, because the kernel chooses one by a hash.

The hash has a seed of its own on each machine and at each boot, so the real router may choose another next hop than the
bench. While a next hop is tested, it is the only one of the route; afterwards the route is as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from netlab.kernel.routes import MatchedRoute, NextHop, RouteReader
from netlab.live.build import LiveNetwork
from netlab.packets.probe import Packet
from netlab.quick.branches import Choice
from netlab.quick.flow import Flow
from netlab.quick.routes_used import RoutesUsed
from netlab.results.document import NO
from netlab.topology.on_link import hops


@dataclass(frozen=True)
class NextHopAlternative:
    """One next hop of one route of one router."""

    router: str
    route: MatchedRoute
    hop: NextHop
    choice: Choice
    routes: RouteReader = field(compare=False, repr=False)

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Make it the only next hop of its route."""
        self.routes.use_only(self.route, self.hop)
        try:
            yield
        finally:
            self.routes.restore(self.route)


class NextHops:
    """The routes with several next hops of one live network."""

    def __init__(self, network: LiveNetwork, routes_used: RoutesUsed) -> None:
        self._network = network
        self._routes_used = routes_used
        self.routers = frozenset(
            router.name for router in network.facts.routers if any(len(hops(route.data)) > 1 for route in router.routes)
        )
        """The routers that have such a route."""

    def fork(self, before: Flow, after: Flow) -> Sequence[NextHopAlternative]:
        """The next hops of the route that `before` took in its next router, if there are several; see branches.Fork."""
        if before.router not in self.routers or any(step.result == NO for step in before.steps):
            return ()  # a NO stays a NO, whatever follows
        route = self._routes_used.find(before.router, before.in_iface, before.packet, after.cookie)
        if route is None or len(route.hops) < 2:
            return ()
        router = self._network.routers[before.router]
        question = self._question(before.router, route)
        return [
            NextHopAlternative(before.router, route, hop, Choice(question, _spell(hop, router.names)), router.routes)
            for hop in route.hops
            if not hop.dead
        ]

    def question(self, router: str, in_iface: str, packet: Packet) -> str:
        """`the next hop of r1 to 10.0.2.0/24 (r1/routes.json:3)` for an unmarked packet; "" when there is only one."""
        route = self._routes_used.lookup(router, in_iface, packet) if router in self.routers else None
        alive = [hop for hop in route.hops if not hop.dead] if route else []
        return self._question(router, route) if route and len(alive) > 1 else ""

    def _question(self, router: str, route: MatchedRoute) -> str:
        place = self._routes_used.place(router, route)
        return f"the next hop of {router} to {route.network}" + (f" ({place})" if place else "")


def _spell(hop: NextHop, names: dict[int, str]) -> str:
    name = names.get(hop.oif, "?")
    return f"{hop.gateway} on {name}" if hop.gateway else name
