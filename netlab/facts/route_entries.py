"""Finds the entry of routes.json from which a kernel route was loaded, and formats it like `ip route`. Pure."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network
from typing import Any

from netlab.facts.ip_batch import table_numbers
from netlab.facts.json_lines import JsonEntry
from netlab.facts.reader import RouterFacts


def find_route(
    router: RouterFacts, table: int, network: IPv4Network, metric: int, devices: Collection[str]
) -> JsonEntry | None:
    """Return the routes.json entry of the route out of `devices`.

    None if there is none because the kernel created the route itself.
    """
    numbers = table_numbers(router)
    found = [
        entry
        for entry in router.routes
        if numbers.get(str(entry.data.get("table", "main"))) == table
        and _network(entry.data) == network
        and str(entry.data.get("metric", 0)) == str(metric)
    ]
    return next((entry for entry in found if set(devices) <= _devices(entry.data)), None)


def spell_route(data: dict[str, Any]) -> str:
    """Format a route like `10.0.2.0/24 via 10.9.0.2 dev eth1`. A route with several next hops lists each of them."""
    hops = [hop for hop in data.get("nexthops") or () if isinstance(hop, dict)]
    words = [str(data.get("dst"))]
    for hop in hops or [data]:
        words += ["nexthop"] if hops else []
        words += [f"{word} {hop[key]}" for key, word in (("gateway", "via"), ("dev", "dev")) if key in hop]
    words += [f"table {data['table']}"] if data.get("table", "main") != "main" else []
    return " ".join(words)


def _network(data: dict[str, Any]) -> IPv4Network | None:
    try:
        text = str(data["dst"])
        return IPv4Network("0.0.0.0/0" if text == "default" else text)
    except (KeyError, ValueError):
        return None


def _devices(data: dict[str, Any]) -> set[str]:
    hops = (data, *(hop for hop in data.get("nexthops") or () if isinstance(hop, dict)))
    return {str(hop["dev"]) for hop in hops if "dev" in hop}
