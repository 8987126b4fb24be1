"""Finds facts that can be loaded, but are probably a mistake in the capture or in the configuration. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from netlab.errors import Problem
from netlab.facts.reader import NetworkFacts, RouterFacts
from netlab.rules.native_tables import native_firewall
from netlab.rules.saved_firewall import SavedRule, read_iptables
from netlab.topology.segments import IfaceRef
from netlab.topology.topology import Topology

SHOWN = 3
"""Maximum number of routers that a message names."""
_IPSET = re.compile(r"^create ", re.MULTILINE)
_DNAT = re.compile(r"--to-destination (\d+\.\d+\.\d+\.\d+)|\bdnat (?:ip )?to (\d+\.\d+\.\d+\.\d+)")


def likely_mistakes(facts: NetworkFacts, topology: Topology) -> Iterator[Problem]:
    """Yield every likely mistake, with its router's name or its file and line."""
    yield from _without_default_route(facts)
    for router in facts.routers:
        yield from _without_firewall(router, topology)
    yield from _unknown_targets(facts)


def rules_of(router: RouterFacts) -> list[SavedRule]:
    """Return all rules of the router's firewalls, in both variants of iptables and in nft."""
    texts = {"iptables-legacy.rules": router.iptables_legacy, router.iptables_file: router.iptables}
    rules = [rule for file, text in texts.items() for rule in read_iptables(text, router.file(file)).rules]
    return rules + native_firewall(router).rules


def number_of_sets(router: RouterFacts) -> int:
    """Return the number of the router's ipsets, and of its named sets and maps in nft."""
    blocks = native_firewall(router).blocks
    return len(_IPSET.findall(router.ipset)) + sum(block.kind in ("set", "map") for block in blocks)


def _without_default_route(facts: NetworkFacts) -> Iterator[Problem]:
    if not any(route.data.get("dst") == "default" for router in facts.routers for route in router.routes):
        what = "no router has a default route; without one, no packet leaves the known subnets"
        yield Problem(facts.name, 0, what)


def _without_firewall(router: RouterFacts, topology: Topology) -> Iterator[Problem]:
    """Report a router without any rule, if a router on one of its segments has rules."""
    if router.iptables or router.iptables_legacy or router.nft:
        return
    ports = [IfaceRef(router.name, interface.name) for interface in router.interfaces]
    segments = [topology.segment_of[port] for port in ports if port in topology.segment_of]
    names = {port.router for segment in segments for port in segment.ports}
    protected = sorted(name for name in names - {router.name} if rules_of(topology.routers[name]))
    if protected:
        some = ", ".join(protected[:SHOWN]) + (f" and {len(protected) - SHOWN} more" if len(protected) > SHOWN else "")
        what = f"has no firewall file, but its neighbours have rules ({some}); were iptables-save and nft run on it?"
        yield Problem(router.name, 0, what)


def _known_networks(facts: NetworkFacts) -> Iterator[IPv4Network]:
    """Yield the subnets of all interfaces, and the destinations of all routes except default routes."""
    for router in facts.routers:
        yield from (address.network for interface in router.interfaces for address in interface.addresses)
        yield from (network for _, network in router.vrf_networks)
        for route in router.routes:
            try:
                yield IPv4Network(str(route.data.get("dst")))
            except (AddressValueError, ValueError):
                continue  # `default`, or an IPv6 route


def _unknown_targets(facts: NetworkFacts) -> Iterator[Problem]:
    """Report DNAT to a private address that is in no known subnet."""
    targets = [(rule, target) for router in facts.routers for rule, target in _targets(router) if target.is_private]
    if not targets:
        return  # the networks need not be listed: there can be a million routes
    known = {(int(network.network_address), network.prefixlen) for network in _known_networks(facts)}
    lengths = sorted({length for _, length in known if length})
    for rule, target in targets:
        if not any((int(target) >> 32 - length << 32 - length, length) in known for length in lengths):
            what = f"`{rule.text}` sends packets to {target}, which is in no known subnet and has no route"
            yield Problem(rule.file, rule.line, what)


def _targets(router: RouterFacts) -> Iterator[tuple[SavedRule, IPv4Address]]:
    """Yield the rules with DNAT to one address, and this address."""
    for rule in rules_of(router):
        found = _DNAT.search(rule.bare) if "dnat " in rule.text or "--to-destination " in rule.text else None
        if found:
            yield rule, IPv4Address(found[1] or found[2])
