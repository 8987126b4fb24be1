"""Reads `ip -j netconf`: whether each interface of a router forwards packets, and its reverse path filter. Pure.

The kernel forwards a packet if forwarding is enabled on the interface where it arrives. The reverse path filter that
applies is the higher value of the interface's own and that of `all` (Linux: Documentation/networking/ip-sysctl.rst).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from netlab.errors import Problem
from netlab.facts.json_lines import JsonEntry

RP_FILTERS = {"off": 0, "strict": 1, "loose": 2}
"""Word that `ip` prints -> value of the sysctl. The higher of two values applies."""
_ALL = "all"


@dataclass(frozen=True)
class InterfaceSettings:
    """The settings of one interface, and their line in netconf.json."""

    forwarding: bool
    rp_filter: str
    line: int


Netconf = dict[str, InterfaceSettings]
"""Interface -> settings. The kernel's pseudo-interface `all` can be one of the keys."""


def read_netconf(entries: Iterable[JsonEntry], where: str, problems: list[Problem]) -> Netconf:
    """Return the IPv4 settings of each interface. Each unusable entry is added to `problems`."""
    settings: Netconf = {}
    for entry in entries:
        data = entry.data
        if data.get("family", "inet") != "inet" or "interface" not in data:
            continue
        fault = _fault(data)
        if fault:
            problems.append(Problem(where, entry.line, f"interface {data['interface']}: {fault}"))
        else:
            forwarding, rp_filter = bool(data.get("forwarding", True)), str(data.get("rp_filter", "off"))
            settings[data["interface"]] = InterfaceSettings(forwarding, rp_filter, entry.line)
    return settings


def settings_of(netconf: Netconf | None, interface: str) -> InterfaceSettings | None:
    """Return the settings that apply to packets arriving on `interface`, or None if the facts do not have them."""
    shared = (netconf or {}).get(_ALL)
    own = (netconf or {}).get(interface, shared)
    if own is None or shared is None:
        return own
    higher = max(own.rp_filter, shared.rp_filter, key=lambda name: RP_FILTERS[name])
    return InterfaceSettings(own.forwarding, higher, own.line)


def _fault(data: dict[str, Any]) -> str:
    if not isinstance(data["interface"], str):
        return "is not a name"
    if not isinstance(data.get("forwarding", True), bool):
        return "forwarding is not true or false"
    if data.get("rp_filter", "off") not in RP_FILTERS:
        return f"rp_filter {data['rp_filter']!r} is not one of {', '.join(RP_FILTERS)}"
    return ""
