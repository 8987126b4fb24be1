"""The meaning of the JSON files: `ip -j addr`, `ip -j route`, `ip -j rule` and `ip -j netconf`. Pure. ip(8)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from netlab.facts.json_lines import JsonEntry

_VOLATILE = frozenset(
    # lifetimes and ages
    "valid_life_time preferred_life_time expires age lastuse used cache tentative "
    # counters
    "stats stats64 promiscuity allmulti "
    # numbers that the kernel chooses when an interface is created
    "ifindex link_index link_netnsid "
    # running timers of bridges and their ports (ip -d)
    "hello_timer tcn_timer topology_change_timer gc_timer message_age_timer forward_delay_timer hold_timer".split()
)
"""Fields, at any depth, that change without a change of the router."""
_SETS = frozenset({"flags", "nexthops", "altnames"})
"""Fields with a list whose order has no meaning."""
_PLAIN = frozenset("type dst gateway dev table protocol scope prefsrc metric tos flags".split())
"""Fields of a route that are words, and its flags."""
_encoder = msgspec.json.Encoder(order="sorted")


def entries(file: str, listed: Iterable[JsonEntry]) -> bytes:
    """Return the meaning of one JSON file, whose name is without its folder."""
    found = [without_volatile(entry.data) for entry in listed if not of_an_address(entry.data)]
    if file in ORDER:
        found.sort(key=ORDER[file])  # stable: of several routes with one key, the first is used
    return b"\n".join(map(encode, found))


def encode(value: Any) -> bytes:
    """Return a value as JSON, with the fields of objects sorted by name."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair, which a later check reports
        return json.dumps(value, sort_keys=True).encode()


def of_an_address(route: dict[str, Any]) -> bool:
    """Whether the kernel made this IPv6 route for an address. It does so only some seconds after the address is set."""
    return route.get("table") == "local" and route.get("protocol") == "kernel" and ":" in str(route.get("dst"))


def _route(route: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(route.get(key, "")) for key in ("table", "dst", "tos", "metric", "type"))


ORDER: dict[str, Callable[[dict[str, Any]], tuple[str, ...]]] = {
    "addr.json": lambda interface: (str(interface.get("ifname")),),
    "routes.json": _route,
    "netconf.json": lambda settings: (str(settings.get("family")), str(settings.get("interface"))),
}
"""File -> the key by which its entries are sorted. Policy rules keep their order, because it can decide."""


def without_volatile(data: dict[str, Any]) -> dict[str, Any]:
    """Return the object without volatile fields. A plain route, of which there can be many, is returned as it is."""
    if data.keys() <= _PLAIN and not data.get("flags"):
        return data
    kept = {key: _value(key, value) for key, value in data.items() if key not in _VOLATILE}
    if "nhid" in kept and ("nexthops" in kept or "dev" in kept):
        del kept["nhid"]  # routing daemons number their next hops anew; what the number refers to is listed
    return kept


def _value(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return without_volatile(value)
    if isinstance(value, list):
        items = [without_volatile(item) if isinstance(item, dict) else item for item in value]
        return sorted(items, key=encode) if key in _SETS else [item for item in items if item != {}]
    return value
