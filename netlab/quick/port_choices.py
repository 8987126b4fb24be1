"""Makes a result UNKNOWN if it depends on a port that a NAT rule chooses. Pure.

A probe shows one of the possible ports (netlab/rules/nat_ports.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address

from netlab.facts.reader import NetworkFacts, RouterFacts
from netlab.packets.probe import ICMP, Packet
from netlab.quick.flow import Flow
from netlab.quick.outcomes import traffics, unsure
from netlab.rules.conditions import Ends, Traffic
from netlab.rules.nat_ports import PortChoice, PortRules, affected, port_choices, port_rules


class PortChoices:
    """The NAT rules of a network that choose one of several ports."""

    def __init__(self, facts: NetworkFacts) -> None:
        self._routers: Mapping[str, RouterFacts] = {router.name: router for router in facts.routers}
        found = {router.name: port_choices(router) for router in facts.routers}
        self.choices = {name: choices for name, choices in found.items() if choices}
        """Router -> its rules. A router without any is left out."""
        self._port_rules = lru_cache(maxsize=256)(self._port_rules_of)

    def doubt(self, flow: Flow) -> None:
        """Make the flow's result UNKNOWN if a later rule distinguishes between the ports that it may have got."""
        if flow.packet.protocol == ICMP:
            return
        met = [traffic for _, traffic in traffics(flow)]
        for number, choice in self._made(flow, met):
            for later in range(number + choice.of_source, len(flow.steps)):
                router = flow.steps[later].router
                traffic = _at(met[later], flow.packet)
                rules = self._port_rules(router, choice.of_source)
                rule = affected(self._routers[router], rules, choice, traffic, chosen_here=later == number)
                if rule:
                    made = f"`{choice.rule.text}` ({choice.rule.place})"
                    what = f"depends on the port of {choice.shown} that {made} chooses"
                    unsure(flow, router, f"{what}: {rule} does not apply to all of them")
                    return

    def _port_rules_of(self, router: str, of_source: bool) -> PortRules:
        return port_rules(self._routers[router], of_source)

    def _made(self, flow: Flow, met: list[Traffic]) -> Iterator[tuple[int, PortChoice]]:
        """Yield (number of the step, rule) for each rule that may have chosen a port of the packet."""
        packets = [*(packet for _, _, packet in flow.seen[: len(flow.steps)]), flow.packet]
        for number, step in enumerate(flow.steps):
            for choice in self.choices.get(step.router, ()):
                before, after = (_port(packet, choice) for packet in packets[number : number + 2])
                if choice.changes(before, after) and choice.condition(met[number]):
                    yield number, choice


def _port(packet: Packet, choice: PortChoice) -> int:
    return int.from_bytes(packet.ports[:2] if choice.of_source else packet.ports[2:], "big")


def _at(traffic: Traffic, packet: Packet) -> Traffic:
    """Return the traffic with the addresses that the packet has at the end."""
    port = int.from_bytes(packet.ports[2:], "big")
    ends = Ends(IPv4Address(packet.source), IPv4Address(packet.destination), port)
    return Traffic(traffic.protocol, traffic.in_iface, traffic.out_iface, traffic.to_itself, traffic.ends | {ends})
