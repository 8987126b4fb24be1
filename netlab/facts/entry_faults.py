"""Collects faults in the entries of `ip -j` output. Each message names the first entry with the fault. Pure.

`ip -j` prints a file as one line, so the line number alone does not locate an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netlab.errors import Problem
from netlab.facts.json_lines import JsonEntry

MOST_FAULTS = 20
"""Maximum number of different faults reported for one file."""
_LONGEST = 100


def named(entry: JsonEntry) -> str:
    """Return the number of the entry in its file, from 1, and a description: `entry 3, 10.7.0.0/16 via 10.0.2.1`."""
    what = _described(entry.data)
    return f"entry {entry.number}" + (f", {what[:_LONGEST]}" if what else "")


def _described(data: Mapping[str, Any]) -> str:
    if "ifname" in data:
        return str(data["ifname"])
    if "priority" in data:
        ends = (f"{word} {data[key]}" for key, word in (("src", "from"), ("dst", "to")) if key in data)
        return " ".join([f"priority {data['priority']}", *ends])
    if "dst" not in data:
        return ""
    hops = data.get("nexthops")
    gateways = [hop.get("gateway") for hop in hops if isinstance(hop, dict)] if isinstance(hops, list) else []
    via = ", ".join(str(gateway) for gateway in (data.get("gateway"), *gateways) if gateway)
    where = f" via {via}" if via else f" dev {data['dev']}" if "dev" in data else ""
    kind = f"{data['type']} " if data.get("type", "unicast") != "unicast" else ""
    return f"{kind}{data['dst']}{where}"


class EntryFaults:
    """The faults in one file. For each fault, it has the first entry with the fault and the number of such entries."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: dict[str, tuple[JsonEntry, int]] = {}

    def add(self, entry: JsonEntry, message: str) -> None:
        """Record that the entry has this fault."""
        first, count = self._found.get(message, (entry, 0))
        self._found[message] = (first, count + 1)

    def problems(self) -> list[Problem]:
        """Return one problem for each fault, at most MOST_FAULTS, and then one with the number of other faults."""
        listed: list[Problem] = []
        for message, (first, count) in self._found.items():
            if len(listed) == MOST_FAULTS:
                others = len(self._found) - MOST_FAULTS
                return [*listed, Problem(self._file, first.line, f"and {others} more faults like these")]
            more = f" (and {count - 1:,} more entries)" if count > 1 else ""
            listed.append(Problem(self._file, first.line, f"{named(first)}: {message}{more}"))
        return listed
