"""Builds the bench from facts: a namespace for every router, a bridge for every segment.

If a part fails, nothing remains.
"""

from __future__ import annotations

import contextlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from netlab.errors import BuildError, NetlinkError, Problem
from netlab.facts.ip_batch import Command, router_commands
from netlab.facts.netconf import RP_FILTERS, settings_of
from netlab.facts.reader import NetworkFacts, RouterFacts
from netlab.kernel import links, namespaces
from netlab.kernel.confined import Tools
from netlab.kernel.links import LOOPBACK, LinkWriter
from netlab.kernel.packet_filter import RouterTables
from netlab.kernel.routes import NeighbourTable, RouteReader
from netlab.kernel.rule_memory import RuleMemory
from netlab.kernel.trace import TraceReader
from netlab.live.host_pool import HostPool
from netlab.live.load import bench_table, load_firewall, run_batch, without_ip
from netlab.rules.loaded_rules import loaded_rules
from netlab.rules.rulebook import Rulebook
from netlab.rules.trace_events import BENCH_TABLE
from netlab.rules.uncertain import Kind, Lacking
from netlab.rules.written_sets import written_sets
from netlab.topology.segments import IfaceRef, Segment
from netlab.topology.topology import Topology

_ETH_P_ALL_OUT = 0  # a packet socket with protocol 0 only sends; it receives nothing
_PACKET_QDISC_BYPASS = 20
_SOL_PACKET = 263
_Closable = TypeVar("_Closable", RuleMemory, RouterTables, RouteReader, TraceReader, NeighbourTable, socket.socket)
Wires = dict[str, dict[str, tuple[bytes, str]]]
"""Router -> interface -> (MAC address, name of the outside end)."""
FEW_SEGMENTS = 100
BUILD_THREADS = 8  # restoring a firewall mostly waits for RCU, so more threads than cores are faster


@dataclass(frozen=True)
class LiveInterface:
    """One router interface on the bench: its index in the router, its MAC, and the outside end of its veth pair."""

    index: int
    mac: bytes
    outside: str


@dataclass
class LiveRouter:
    """One router's namespace and the sockets that remain open in it."""

    name: str
    namespace: int
    ports: dict[str, LiveInterface]
    names: dict[int, str]
    sets: RouterTables
    routes: RouteReader
    raw: socket.socket
    """A raw socket that sends packets from the router itself (with their IP header)."""
    trace: TraceReader
    neighbours: NeighbourTable
    book: Rulebook
    memory: RuleMemory | None = None
    """What the rules remember about packets; None if they remember nothing."""

    def close(self) -> None:
        """Close the sockets and release the namespace."""
        for resource in (self.sets, self.routes, self.raw, self.trace, self.neighbours, self.memory):
            if resource:
                resource.close()
        os.close(self.namespace)


class LiveNetwork:
    """A built network.

    The bench's own namespace contains the bridges of the segments and the outside ends of all interfaces.
    """

    def __init__(
        self, facts: NetworkFacts, topology: Topology, routers: dict[str, LiveRouter], lacking: dict[str, Lacking]
    ) -> None:
        self.lacking = lacking
        self.facts = facts
        self.topology = topology
        self.routers = routers
        self._bridges = _bridges(topology)
        self._joined = set(_first_bridges(topology))
        self._links = LinkWriter()
        self.spaces = HostPool()
        self._injectors: dict[str, socket.socket] = {}

    def injector(self, port: IfaceRef) -> socket.socket:
        """Return a socket that sends frames into the port's veth pair, towards the router."""
        outside = self.routers[port.router].ports[port.interface].outside
        if outside not in self._injectors:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _ETH_P_ALL_OUT)
            sock.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
            sock.bind((outside, 0))
            self._injectors[outside] = sock
        return self._injectors[outside]

    def bridge(self, segment: Segment) -> str:
        """Return the name of a segment's bridge. The bridge is created on first use if necessary. Raises NetlinkError."""
        name = self._bridges[segment]
        if segment not in self._joined:
            self._links.change([links.bridge(name)], f"bridge {name}")
            index = socket.if_nametoindex(name)
            outsides = (self.routers[port.router].ports[port.interface].outside for port in segment.ports)
            self._links.change(
                [links.join(socket.if_nametoindex(outside), index) for outside in outsides], f"ports of {name}"
            )
            self._joined.add(segment)
        return name

    def close(self) -> None:
        """Close the network. The kernel removes the namespaces in the background."""
        for sock in self._injectors.values():
            sock.close()
        for router in self.routers.values():
            router.close()
        self.spaces.close()
        self._links.close()


def build(facts: NetworkFacts) -> LiveNetwork:
    """Build the network in the calling process's namespace. Raises BuildError with everything that was refused.

    The process must have isolated itself (namespaces.isolate). Otherwise bridges would appear on the host.
    """
    topology = Topology(facts)
    commands, problems = _commands(facts)
    if problems:
        raise BuildError(problems)
    with contextlib.ExitStack() as undo:
        namespaces.set_sysctls(namespaces.BENCH_SYSCTLS)
        namespace_of: dict[str, int] = {}
        for router in facts.routers:
            namespace_of[router.name] = namespaces.create(namespaces.ROUTER_SYSCTLS)
            undo.callback(os.close, namespace_of[router.name])
        ports, lacking = _configure(facts, topology, commands, namespace_of)
        routers = {
            r.name: _opened(r, namespace_of[r.name], ports[r.name], lacking[r.name], undo) for r in facts.routers
        }
        network = LiveNetwork(facts, topology, routers, lacking)
        undo.callback(network.spaces.close)
        network.spaces.prepare()
        undo.pop_all()  # the network owns everything from now on
        return network


def _configure(
    facts: NetworkFacts, topology: Topology, commands: dict[str, list[Command]], namespace_of: dict[str, int]
) -> tuple[Wires, dict[str, Lacking]]:
    """Wire the routers, load the routes and the firewall of each, and join them to their segments. Raises BuildError.

    The second result has, for each router, the rules that this machine cannot evaluate.
    """
    with Tools(BUILD_THREADS) as tools, ThreadPoolExecutor(BUILD_THREADS) as threads:
        wires, problems = _wire(facts, topology, namespace_of)
        if problems:
            raise BuildError(problems)
        table = bench_table(tools)

        def load(router: RouterFacts, commands: list[Command]) -> tuple[list[Problem], Lacking]:
            namespace = namespace_of[router.name]
            refused = run_batch(tools, commands, namespace)
            problems, lacking = load_firewall(tools, router, namespace)
            return refused + problems, lacking

        loading = []
        for router in facts.routers:
            with namespaces.entered(namespace_of[router.name]):
                _apply_netconf(router)
                left = without_ip(commands[router.name])
            loading.append(threads.submit(load, router, left))  # tools run while the next routers are prepared
        loaded = [one.result() for one in loading]
        for namespace in namespace_of.values():
            with namespaces.entered(namespace):
                table.create()
        problems = [problem for refused, _ in loaded for problem in refused]
        problems += _plug(topology, wires)
    if problems:
        raise BuildError(problems)
    return wires, {router.name: lacking for router, (_, lacking) in zip(facts.routers, loaded, strict=True)}


def _apply_netconf(router: RouterFacts) -> None:
    """Set forwarding and reverse path filters from netconf.json, in the router's namespace.

    Without this file, every interface forwards, and none has a reverse path filter.
    """
    if router.netconf is None:
        return
    values = {}
    for interface in router.interfaces:
        settings = settings_of(router.netconf, interface.name)
        if settings is not None and not interface.loopback:
            folder = f"net/ipv4/conf/{interface.name}"
            values[f"{folder}/forwarding"] = str(int(settings.forwarding))
            values[f"{folder}/rp_filter"] = str(RP_FILTERS[settings.rp_filter])
    namespaces.set_sysctls(values)


def _commands(facts: NetworkFacts) -> tuple[dict[str, list[Command]], list[Problem]]:
    """Return the `ip` commands of each router, and a problem for each entry that cannot be converted."""
    commands: dict[str, list[Command]] = {}
    problems: list[Problem] = []
    for router in facts.routers:
        commands[router.name], faults = router_commands(router)
        problems += faults
    return commands, problems


def _bridges(topology: Topology) -> dict[Segment, str]:
    """Return the name of each segment's bridge in the bench's own namespace."""
    return {segment: f"s{number}" for number, segment in enumerate(topology.segments)}


def _first_bridges(topology: Topology) -> dict[Segment, str]:
    """Return the bridges to create when the network is built.

    In a network with many segments, a segment with a single port gets its bridge only with its first host. The kernel
    takes 15 ms to remove a bridge, and during this time it creates no link and no namespace for the next bench.
    """
    few = len(topology.segments) <= FEW_SEGMENTS
    return {segment: name for segment, name in _bridges(topology).items() if few or len(segment.ports) > 1}


def _wire(facts: NetworkFacts, topology: Topology, spaces: dict[str, int]) -> tuple[Wires, list[Problem]]:
    """Create the first bridges and the veth pairs of all interfaces. The second result has everything that was refused."""
    problems: list[Problem] = []
    made: Wires = {}
    number = 0
    with contextlib.closing(LinkWriter()) as writer:
        bridges = [links.bridge(name) for name in _first_bridges(topology).values()]
        try:
            writer.change([links.up(LOOPBACK), *bridges], "bridges of the segments")
        except NetlinkError as bad:
            return made, [Problem("bench", 0, str(bad))]
        for router in facts.routers:
            wires = made.setdefault(router.name, {})
            for interface in router.interfaces:
                if interface.loopback:
                    continue
                number += 1
                mac, outside = b"\x02\x72" + number.to_bytes(4, "big"), f"p{number}"
                try:
                    writer.wire(outside, interface.name, spaces[router.name], mac=mac)
                except NetlinkError as bad:
                    problems.append(Problem(router.file("addr.json"), interface.line, f"{interface.name}: {bad}"))
                wires[interface.name] = (mac, outside)
    return made, problems


def _plug(topology: Topology, ports: Wires) -> list[Problem]:
    """Join the outside ends to the bridges of their segments and bring them up. The routers' ends must be up before.

    If a bridge port got its carrier after it was brought up, it would not forward for up to a second.
    """
    indices = {segment: socket.if_nametoindex(name) for segment, name in _first_bridges(topology).items()}
    changes: list[links.Message] = []
    for router, wires in ports.items():
        for interface, (_, outside) in wires.items():
            index = socket.if_nametoindex(outside)
            home = topology.segment_of.get(IfaceRef(router, interface))
            changes += [links.join(index, indices[home])] if home in indices else []
            changes.append(links.up(index))
    with contextlib.closing(LinkWriter()) as writer:
        try:
            writer.change(changes, "ports of the segments")
        except NetlinkError as bad:
            return [Problem("bench", 0, str(bad))]
    return []


def _opened(
    router: RouterFacts,
    namespace: int,
    ports: dict[str, tuple[bytes, str]],
    lacking: Lacking,
    undo: contextlib.ExitStack,
) -> LiveRouter:
    """Open the sockets that remain in a loaded router. If a later step fails, `undo` closes each of them."""

    def kept(resource: _Closable) -> _Closable:
        undo.callback(resource.close)
        return resource

    with namespaces.entered(namespace):
        live = {
            name: LiveInterface(socket.if_nametoindex(name), mac, outside) for name, (mac, outside) in ports.items()
        }
        names = {port.index: name for name, port in live.items()}
        names[socket.if_nametoindex("lo")] = "lo"
        sets = kept(RouterTables(BENCH_TABLE))
        lacking_targets = [one.rule for one in loaded_rules(router, lacking).rules.values() if one.kind is Kind.TARGET]
        return LiveRouter(
            name=router.name,
            namespace=namespace,
            ports=live,
            names=names,
            sets=sets,
            routes=kept(RouteReader()),
            raw=kept(socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)),
            trace=kept(TraceReader()),
            neighbours=kept(NeighbourTable()),
            book=Rulebook(router, sets.handles, sets.hooks(), lacking_targets),
            memory=kept(memory) if (memory := _memory(router, lacking)) else None,
        )


def _memory(router: RouterFacts, lacking: Lacking) -> RuleMemory | None:
    """Return what the rules of this router remember right after loading, or None if they remember nothing.

    Raises BuildError if the kernel cannot show it.
    """
    written = written_sets(router, lacking.sets)
    if not written:
        return None
    try:
        return RuleMemory(written.sets, written.ipsets, written.recent, only_grow=written.only_grow)
    except (NetlinkError, OSError) as bad:
        why = f"cannot restore the sets that its rules write to: {bad}"
        raise BuildError([Problem(router.name, 0, why)]) from None
