"""Leaves a router's VRFs out of its facts, but so that packets routed into a VRF are detected. Pure.

A VRF is an interface with its own routing table; other interfaces are enslaved to it. The bench supports only the main
tables. Interfaces of a VRF get no address. Every route in a VRF's table, or into a VRF, is replaced by a route to one
of the VRF's interfaces, where the topology ends the path. Sources: "VRF" in ip-link(8),
Documentation/networking/vrf.rst in the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

from netlab.errors import Problem
from netlab.facts.json_lines import JsonEntry

_OWN_TYPES = frozenset(("local", "broadcast", "anycast", "multicast"))
_KEPT = ("dst", "table", "metric", "tos")
_MAIN_TABLES = frozenset(("main", "local", "default", "254", "255", "253"))


class Vrfs:
    """The VRFs of one router, according to its addr.json."""

    def __init__(self, interfaces: tuple[JsonEntry, ...]) -> None:
        named = [entry for entry in interfaces if isinstance(entry.data.get("ifname"), str)]
        self._lines = {entry.data["ifname"]: entry.line for entry in named if _is_vrf(entry.data)}
        self._vrf_of = {name: name for name in self._lines}
        self._vrf_of |= {
            entry.data["ifname"]: str(entry.data["master"])
            for entry in named
            if entry.data.get("master") in self._lines
        }
        self._tables = {str(_info(entry.data).get("table")) for entry in named if entry.data["ifname"] in self._lines}
        self.networks: list[tuple[str, IPv4Network]] = []
        """(VRF, subnet) for each address of an interface in a VRF. `reader` adds them."""

    def of(self, interface: str) -> str:
        """Return the VRF that an interface belongs to, or its own name if it is a VRF; "" if neither."""
        return str(self._vrf_of.get(interface, ""))

    def routes(self, entries: tuple[JsonEntry, ...]) -> tuple[JsonEntry, ...]:
        """Return the routes. Those in a VRF's table or into a VRF are replaced by a route to one of its interfaces."""
        if not self._lines:
            return entries
        tables: dict[str, set[str]] = {}
        for entry in entries:
            tables.setdefault(str(entry.data.get("table", "main")), set()).update(set(_devices(entry.data)) - {"lo"})
        own = {name for name, devices in tables.items() if devices and all(map(self.of, devices))}
        self._tables |= own - _MAIN_TABLES
        return tuple(self._routes(entries))

    def _routes(self, entries: tuple[JsonEntry, ...]) -> Iterator[JsonEntry]:
        for entry in entries:
            data = entry.data
            inside = [device for device in _devices(data) if self.of(device)]
            if not inside and str(data.get("table", "main")) not in self._tables:
                yield entry
            elif data.get("type") not in _OWN_TYPES and "pref" not in data and ":" not in str(data.get("dst", "")):
                route: dict[str, Any] = {key: data[key] for key in _KEPT if key in data}
                device = inside[0] if inside else min(self._lines)
                yield replace(entry, data={**route, "dev": device, "scope": "link", "flags": []})

    def rules(self, entries: tuple[JsonEntry, ...]) -> tuple[JsonEntry, ...]:
        """Return the policy rules without the `l3mdev` rule, which selects a VRF's table by the interface."""
        return tuple(entry for entry in entries if not (self._lines and "l3mdev" in entry.data))

    def warnings(self, router: str) -> Iterator[Problem]:
        """Yield a problem for each VRF that says what is left out."""
        for name, line in self._lines.items():
            slaves = sorted(slave for slave, vrf in self._vrf_of.items() if vrf == name != slave)
            what = f"its interfaces ({', '.join(slaves)}) and routes" if slaves else "its routes"
            text = f"{name} is a VRF: {what} are left out; a path through it is UNKNOWN"
            yield Problem(f"{router}/addr.json", line, text)


def _is_vrf(data: dict[str, Any]) -> bool:
    """Whether the interface is a VRF. `ip -j addr` shows this only in its flags; with -d it also prints the kind."""
    kind = data.get("linkinfo", {}).get("info_kind")
    return kind == "vrf" or (kind is None and {"MASTER", "NOARP"} <= set(map(str, data.get("flags", ()))))


def _info(data: dict[str, Any]) -> dict[str, Any]:
    info = data.get("linkinfo", {}).get("info_data")
    return info if isinstance(info, dict) else {}


def _devices(data: dict[str, Any]) -> list[str]:
    hops = [data, *(hop for hop in data.get("nexthops") or () if isinstance(hop, dict))]
    return [str(hop["dev"]) for hop in hops if "dev" in hop]
