"""Quick runs: walks every service of every waiting request in one pass, and finds the rule behind each NO."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv4Network

from netlab.errors import NetlinkError
from netlab.live.build import LiveNetwork
from netlab.packets.probe import Packet
from netlab.quick import outcomes
from netlab.quick.branches import CHUNK, unite, walk_branches
from netlab.quick.explain import Explainer
from netlab.quick.flow import Branch, Choice, Flow, Question, Step
from netlab.quick.next_hops import NextHops
from netlab.quick.port_choices import PortChoices
from netlab.quick.prober import Prober, RouterLocked, never_locked
from netlab.rules.caveats import Caveats
from netlab.topology.edges import is_private
from netlab.topology.ingress import Ingress, IngressKind, find_ingress, spelled
from netlab.topology.segments import IfaceRef

__all__ = ["RouterLocked", "Walker"]


class Walker:
    """Walks batches of requests through one live network. Not thread-safe."""

    def __init__(
        self,
        network: LiveNetwork,
        holder: Callable[[str], str | None] = never_locked,
        caveats: Caveats | None = None,
    ) -> None:
        """`holder` returns the run that has locked a router, or None.

        `caveats` are those of the network; they are determined here if not given.
        """
        self._network = network
        self._caveats = caveats or Caveats(network.facts, network.lacking)
        self._topology = network.topology
        self._prober = Prober(network, holder)
        self._explainer = Explainer(network, self._prober.injector, self._prober.settle, self._prober.restore)
        self.next_hops = NextHops(network, self._prober.routes_used)
        self._port_choices = PortChoices(network.facts)
        self.settle, self.restore = self._prober.settle, self._prober.restore
        self._lacks_targets = frozenset(name for name, router in network.routers.items() if router.book.lacking_targets)
        self.unrouted = self._prober.unrouted
        self.forget, self.close = self._prober.forget, self._prober.close

    def walk(self, questions: Iterable[Question]) -> list[tuple[Ingress, list[Flow]]]:
        """Walk all requests. Return for each its entry and its flows, in the order of its services.

        If a request asks for rules, each NO has its rule. Raises RouterLocked.
        """
        walks = self.ways(questions)
        return [(entry, ways[0] if len(ways) == 1 else unite_ways(entry, ways)) for entry, ways in walks]

    def ways(self, questions: Iterable[Question]) -> list[tuple[Ingress, list[list[Flow]]]]:
        """Walk all requests like `walk`, but return the flows separately for each port of the entry."""
        questions = list(questions)
        walks = [self._begin(question) for question in questions]
        by_port = [
            (question, entry, port, flows)
            for question, (entry, ways) in zip(questions, walks, strict=True)
            for port, flows in zip(entry.ports or (None,), ways, strict=True)
        ]
        self.probe([flow for _, _, _, flows in by_port for flow in flows])
        if explained := [one for one in by_port if one[0].rules]:
            self._explainer.explain(flow for _, _, _, flows in explained for flow in flows)
            for question, entry, port, flows in explained:
                self._recheck(question, entry, port, flows)
        if self._caveats.uncertain_routers:
            uncertain = [
                (flow, partial(self._start, question, entry, port, flow.service))
                for question, entry, port, flows in by_port
                for flow in flows
                if outcomes.may_be_uncertain(flow, self._caveats)
            ]
            outcomes.ask(uncertain, self._caveats, self.probe)
        if self._port_choices.choices:
            for flow in (flow for _, _, _, flows in by_port for flow in flows):
                self._port_choices.doubt(flow)
        if self.next_hops.routers:
            for question, entry, port, flows in by_port:
                self._all_paths(question, entry, port, flows)
        return walks

    def probe(self, flows: Iterable[Flow]) -> None:
        """Follow every flow to its end, and find the results that depend on a target that this machine lacks.

        Raises RouterLocked.
        """
        flows = list(flows)
        self._prober.probe(flows)
        if self._lacks_targets:
            stopped = [flow for flow in flows if any(self._may_lack_target(step) for step in flow.steps)]
            self._explainer.explain(stopped)
            self._doubt(stopped)

    def _may_lack_target(self, step: Step) -> bool:
        return step.stopped is not None and step.router in self._lacks_targets

    def _doubt(self, flows: Iterable[Flow]) -> None:
        if self._lacks_targets:
            for flow in flows:
                outcomes.doubt(flow)

    def _all_paths(self, question: Question, entry: Ingress, port: IfaceRef | None, flows: list[Flow]) -> None:
        """Walk every possible path of the flows that may have several, and find the rules on each path."""
        forked = [flow for flow in flows if any(step.router in self.next_hops.routers for step in flow.steps)]
        starts = [self._start(question, entry, port, flow.service) for flow in forked]
        for flow, branches in zip(forked, walk_branches(starts, self._advance, self.next_hops.fork), strict=True):
            self._explainer.explain(branch.flow for branch in branches)
            flow.paths = branches if len(branches) > 1 else ()

    def _advance(self, flows: Sequence[Flow]) -> None:
        """Move branches by one router and find the rules that blocked them, while the chosen alternative is in effect."""
        self._prober.forget(CHUNK)
        self._prober.advance(flows)
        self._explainer.explain(flows)
        self._doubt(flows)

    def _recheck(self, question: Question, entry: Ingress, port: IfaceRef | None, flows: list[Flow]) -> None:
        """Walk again the flows that have a NO without a rule.

        On an overloaded machine the probe may only have been late.
        """
        again = {
            number: self._start(question, entry, port, flow.service)
            for number, flow in enumerate(flows)
            if any(step.stopped is not None and step.rule is None for step in flow.steps)
        }
        self.probe(again.values())
        self._explainer.explain(again.values())
        for number, flow in again.items():
            flows[number] = flow

    def _begin(self, question: Question) -> tuple[Ingress, list[list[Flow]]]:
        """Return where the request enters and, for each port where it may enter, the flows of its services."""
        entry = find_ingress(self._topology, self, question.source, question.destination)
        ports = entry.ports or (None,)
        ways = [[self._start(question, entry, port, service) for service in question.services] for port in ports]
        if mistyped := self.mistyped(question.source, entry):
            for flow in (flow for flows in ways for flow in flows):
                flow.assumptions += mistyped
        return entry, ways

    def mistyped(self, source: IPv4Address, entry: Ingress) -> list[str]:
        """Return a caveat if the source may be mistyped.

        That is the case for a private address that is in no known subnet and to which only a default route leads.
        """
        if not entry.ports or not is_private(source):
            return []
        if self._topology.owned_by(source) or self._topology.segment_holding(source):
            return []
        routes = [self._prober.routes_used.to(port.router, source) for port in entry.ports]
        if any(route is not None and route.network.prefixlen for route in routes):
            return []
        return [
            f"{source} is a private address, but no known subnet or route contains it: treated as external;"
            " check the address"
        ]

    @staticmethod
    def _start(question: Question, entry: Ingress, port: IfaceRef | None, service: tuple[int | None, str]) -> Flow:
        dport, protocol = service
        packet = Packet.make(protocol, question.source, question.destination, question.source_port, dport)
        flow = Flow(service, packet, question.dscp)
        if port is None:
            flow.delivered = entry.kind is not IngressKind.UNKNOWN
            flow.impossible = entry.impossible
            flow.end(entry.reason)
        else:
            flow.enter(port)
        return flow

    def lookup(
        self, name: str, destination: IPv4Address, source: IPv4Address | None, iif: str
    ) -> tuple[str, IfaceRef | None, IPv4Address | None]:
        """Look up a route in a router's kernel. This is Routing.lookup."""
        router = self._network.routers[name]
        try:
            route = router.routes.get(destination, source, iif=router.ports[iif].index if iif else 0)
        except NetlinkError:
            return "none", None, None
        if route.local:
            return "local", None, None
        return "out", IfaceRef(name, router.names[route.oif]), route.next_hop

    def hops(
        self, name: str, destination: IPv4Address
    ) -> tuple[IPv4Network | None, list[tuple[IfaceRef, IPv4Address]]]:
        """Look up a route and all its next hops in a router's kernel. This is Routing.hops."""
        route = self._prober.routes_used.to(name, destination)
        if route is None:
            return None, []
        names = self._network.routers[name].names
        hops = [(names.get(hop.oif, ""), hop.gateway or destination) for hop in route.hops if not hop.dead]
        return route.network, [(IfaceRef(name, interface), hop) for interface, hop in hops if interface]


def entry_choices(entry: Ingress) -> list[Choice]:
    """Return the choice of each port where a request may enter."""
    return [Choice(entry.question, spelled(port), entry.remedy) for port in entry.ports]


def unite_ways(entry: Ingress, ways: list[list[Flow]]) -> list[Flow]:
    """Return one flow for each service of a request that may enter at several ports."""
    choices = entry_choices(entry)
    one_each = []
    for flows in zip(*ways, strict=True):
        branches = [
            Branch((choice, *branch.choices), branch.flow)
            for choice, flow in zip(choices, flows, strict=True)
            # What makes a result unsure applies to all paths of a flow, so it is lost if they are united one by one.
            for branch in (() if flow.unsure else flow.paths) or [Branch((), flow)]
        ]
        whole = unite(branches)
        whole.paths = branches if len(branches) > len(flows) else ()
        one_each.append(whole)
    return one_each
