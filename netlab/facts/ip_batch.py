"""Converts one router's facts to lines for `ip -batch`, each with its place in the facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from netlab.errors import Problem
from netlab.facts.dumps import iproute
from netlab.facts.dumps.iproute import NotPrinted
from netlab.facts.entry_faults import EntryFaults
from netlab.facts.json_lines import JsonEntry
from netlab.facts.reader import RouterFacts

_ROUTE_WORDS = (
    ("tos", "tos", iproute.name),
    ("metric", "metric", iproute.number),
    ("scope", "scope", iproute.name),
    ("prefsrc", "src", iproute.address),
)
_RULE_WORDS = (
    ("iif", iproute.device),
    ("oif", iproute.device),
    ("tos", iproute.name),
    ("dsfield", iproute.name),
    ("ipproto", iproute.name),
)
_WITHOUT_DEVICE = frozenset(("blackhole", "unreachable", "prohibit", "throw"))
KNOWN_TABLES = {"local": 255, "main": 254, "default": 253, "unspec": 0}
_ROUTE_KEYS = frozenset(
    "type dst gateway via dev table prefsrc metric scope tos flags protocol nexthops nhid nh_info pref "
    "metrics expires realms error weight cache age ipid ts mark".split()
)
_RULE_KEYS = frozenset(
    "priority not src srclen dst dstlen fwmark fwmask iif iif_detached oif oif_detached tos dsfield ipproto "
    "sport sport_start sport_end dport dport_start dport_end table suppress_prefixlen "
    "goto unresolved action nop protocol uid_start uid_end".split()
)


@dataclass(frozen=True, slots=True)
class Command:
    """One line for `ip -batch` and its place in the facts."""

    text: str
    file: str
    line: int


class PlanFault(NotPrinted):
    """An entry cannot be loaded on the bench. It becomes a Problem with file and line."""


def router_commands(router: RouterFacts) -> tuple[list[Command], list[Problem]]:
    """Return the commands for one router, and the problems of entries that have none.

    The kernel requires this order: addresses, routes without a gateway, other routes, policy rules.
    """
    commands = [Command("link set dev lo up", router.file("addr.json"), 0), *_address_commands(router)]
    route_faults, rule_faults = EntryFaults(router.file("routes.json")), EntryFaults(router.file("rules.json"))
    tables = table_numbers(router)
    routes = [entry for entry in router.routes if _wanted(entry.data)]
    for entry in sorted(routes, key=lambda entry: _has_gateway(entry.data)):
        _append(commands, route_faults, router.file("routes.json"), entry, _route, tables)
    if router.rules is not None:
        commands.append(Command("rule flush", router.file("rules.json"), 0))
        for entry in router.rules:
            if entry.data.get("priority") == 0 and entry.data.get("table") == "local":
                continue  # survives the flush
            _append(commands, rule_faults, router.file("rules.json"), entry, _rule, tables)
    return commands, route_faults.problems() + rule_faults.problems()


def _append(
    commands: list[Command],
    faults: EntryFaults,
    file: str,
    entry: JsonEntry,
    spell: Any,
    tables: dict[str, int],
) -> None:
    try:
        commands.append(Command(spell(entry.data, tables), file, entry.line))
    except NotPrinted as bad:
        faults.add(entry, str(bad))
    except (KeyError, TypeError, ValueError, AttributeError) as bad:
        faults.add(entry, f"is not what `ip -j` prints: {type(bad).__name__} {bad}")


def _address_commands(router: RouterFacts) -> Iterator[Command]:
    """Yield the commands for links and addresses.

    If the dump contains the kernel's connected routes, the kernel must not create them with the addresses: they are
    loaded from the dump, with their metrics.
    """
    dumped = any(
        r.data.get("protocol") == "kernel" and r.data.get("scope") == "link" and r.data.get("table", "main") == "main"
        for r in router.routes
    )
    where = router.file("addr.json")
    for interface in router.interfaces:
        if interface.up and not interface.loopback:
            yield Command(f"link set dev {interface.name} up", where, interface.line)
        for address in interface.addresses:
            if address.local.is_loopback and interface.loopback and address.prefixlen == 8:
                continue
            peer = f" peer {address.peer}" if address.peer else ""
            bare = " noprefixroute" if dumped or address.noprefixroute else ""
            yield Command(
                f"addr add {address.local}{peer}/{address.prefixlen} dev {interface.name}{bare}",
                where,
                interface.line,
            )


def _has_gateway(route: dict[str, Any]) -> bool:
    return any("gateway" in hop or "via" in hop for hop in (route, *(route.get("nexthops") or ())))


def _wanted(route: dict[str, Any]) -> bool:
    """Whether a route is loaded on the bench.

    IPv6 routes, the kernel's own entries in table local, and routes whose next hops were all dead on the router are
    not.
    """
    if "pref" in route or ":" in str(route.get("dst", "")) or not route:
        return False
    if _dead(route) or (route.get("nexthops") and all(map(_dead, route["nexthops"]))):
        return False
    if route.get("table") == "local":
        return route.get("type") == "local" and route.get("protocol") != "kernel"
    return True


def _dead(hop: dict[str, Any]) -> bool:
    return "dead" in (hop.get("flags") or ())


def table_numbers(router: RouterFacts) -> dict[str, int]:
    """Return numbers for all tables that the router's routes and rules use. A named table gets any unused number."""
    entries = [*router.routes, *(router.rules or ())]
    names = {str(entry.data["table"]) for entry in entries if "table" in entry.data}
    called = {name: iproute.table_number(name) for name in names}
    taken = {number for number in called.values() if number is not None} | set(KNOWN_TABLES.values())
    numbers = dict(KNOWN_TABLES)
    free = (number for number in range(10_000, 1_000_000) if number not in taken)
    for name in sorted(names - set(KNOWN_TABLES)):
        number = called[name]
        numbers[name] = next(free) if number is None else number
    return numbers


def _route(data: dict[str, Any], tables: dict[str, int]) -> str:
    if "flow" in data:
        raise PlanFault("realms are not supported")
    if not data.keys() <= _ROUTE_KEYS:
        unknown = sorted(data.keys() - _ROUTE_KEYS)
        raise PlanFault(f"{unknown[0]} is not supported on the bench; remove the route or ask for support")
    parts = ["route", "add", iproute.kind("type", data.get("type", "unicast")), iproute.network("dst", data["dst"])]
    if "table" in data:
        parts += ["table", str(tables[str(data["table"])])]
    for key, word, spell in _ROUTE_WORDS:
        if key in data:
            parts += [word, spell(key, data[key])]
    hops = [hop for hop in data.get("nexthops") or () if not _dead(hop)]
    weights = [iproute.number("weight", hop.get("weight", 1)) for hop in hops]
    if data.get("type") in _WITHOUT_DEVICE:
        pass  # a nexthop object of this kind is printed with `dev lo`, which `ip route add` refuses
    elif len(hops) == 1:
        parts += _hop(hops[0])
    elif hops:
        for hop, weight in zip(hops, weights, strict=True):
            parts += ["nexthop", *_hop(hop), "weight", weight]
    else:
        parts += _hop(data)
    return " ".join(parts)


def _hop(hop: dict[str, Any]) -> list[str]:
    parts = []
    if "flow" in hop:
        raise PlanFault("realms are not supported")
    if "via" in hop:
        raise PlanFault("an IPv6 next hop is not supported yet")
    if "gateway" in hop:
        parts += ["via", iproute.address("gateway", hop["gateway"])]
    if "dev" in hop:
        parts += ["dev", iproute.device("dev", hop["dev"])]
    if "onlink" in (hop.get("flags") or ()):
        parts.append("onlink")
    return parts


def _rule(data: dict[str, Any], tables: dict[str, int]) -> str:
    unknown = sorted(set(data) - _RULE_KEYS)
    if unknown:
        raise PlanFault(f"{unknown[0]} is not supported on the bench; remove the rule or ask for support")
    parts = ["rule", "add", "priority", iproute.number("priority", data["priority"])]
    if "not" in data:
        parts.insert(2, "not")
    for key, word in (("src", "from"), ("dst", "to")):
        if key in data:
            length = data.get(f"{key}len")
            parts += [word, iproute.network(key, data[key]) + (f"/{int(length)}" if length is not None else "")]
    if "fwmark" in data:
        mask = f"/{iproute.number('fwmask', data['fwmask'])}" if "fwmask" in data else ""
        parts += ["fwmark", iproute.number("fwmark", data["fwmark"]) + mask]
    for key, spell in _RULE_WORDS:
        if key in data:
            parts += [key, spell(key, data[key])]
    for key in ("sport", "dport"):
        given = [int(data[name]) for name in (key, f"{key}_start", f"{key}_end") if name in data]
        if any(not 0 < port < 65536 for port in given):
            raise PlanFault(f"{key} is not in the range 1-65535")  # ip would use it modulo 65536
        if given:
            parts += [key, "-".join(map(str, given))]
    if "uid_start" in data:
        parts += ["uidrange", f"{int(data['uid_start'])}-{int(data['uid_end'])}"]
    return " ".join([*parts, *_rule_action(data, tables)])


def _rule_action(data: dict[str, Any], tables: dict[str, int]) -> list[str]:
    if "goto" in data:
        return ["goto", iproute.number("goto", data["goto"])]
    if "table" in data:
        parts = ["lookup", str(tables[str(data["table"])])]
        if "suppress_prefixlen" in data:
            parts += ["suppress_prefixlength", iproute.number("suppress_prefixlen", data["suppress_prefixlen"])]
        return parts
    if "action" in data or "nop" in data:
        return [iproute.kind("action", data.get("action", "nop"))]
    raise PlanFault("the rule does not say what to do: it has no table, goto, action or nop")
