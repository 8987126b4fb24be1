"""Routes with several next hops (ECMP). Every next hop is tested, because the kernel chooses one by a hash.

The seed of the hash differs between machines and boots, so the real router may choose another next hop than the bench.
While a next hop is tested, it is the only one of its route. Afterwards the route is restored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from netlab.kernel.routes import MatchedRoute, NextHop, RouteReader
from netlab.live.build import LiveNetwork
from netlab.packets.probe import Packet
from netlab.quick.flow import Choice, Flow
from netlab.quick.routes_used import RoutesUsed
from netlab.results.document import NO
from netlab.topology.on_link import hops


@dataclass(frozen=True)
class NextHopAlternative:
    """One next hop of one route of one router, as an alternative at a fork."""

    router: str
    route: MatchedRoute
    hop: NextHop
    choice: Choice
    routes: RouteReader = field(compare=False, repr=False)

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Make this the only next hop of its route within the body."""
        self.routes.use_only(self.route, self.hop)
        try:
            yield
        finally:
            self.routes.restore(self.route)


class NextHops:
    """The routes of one live network that have several next hops."""

    def __init__(self, network: LiveNetwork, routes_used: RoutesUsed) -> None:
        self._network = network
        self._routes_used = routes_used
        self.routers = frozenset(
            router.name for router in network.facts.routers if any(len(hops(route.data)) > 1 for route in router.routes)
        )
        """The routers that have a route with several next hops."""

    def fork(self, before: Flow, after: Flow) -> Sequence[NextHopAlternative]:
        """Return the next hops of the route that `before` used in its next router; empty if there is only one.

        This is a branches.Fork. There is never a fork after a NO, since the result remains NO whatever follows.
        """
        if before.router not in self.routers or any(step.result == NO for step in before.steps):
            return ()  # the result remains NO, whatever follows
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
        """Return `the next hop of r1 to 10.0.2.0/24 (r1/routes.json:3)` for an unmarked packet.

        The result is "" if there is only one next hop.
        """
        route = self._routes_used.lookup(router, in_iface, packet) if router in self.routers else None
        alive = [hop for hop in route.hops if not hop.dead] if route else []
        return self._question(router, route) if route and len(alive) > 1 else ""

    def _question(self, router: str, route: MatchedRoute) -> str:
        place = self._routes_used.place(router, route)
        return f"the next hop of {router} to {route.network}" + (f" ({place})" if place else "")


def _spell(hop: NextHop, names: dict[int, str]) -> str:
    name = names.get(hop.oif, "?")
    return f"{hop.gateway} on {name}" if hop.gateway else name
