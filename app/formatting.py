"""How services, rules, runs and times are called in words, without colour or layout: for terminal and pages alike. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ARROW = " → "
SHORT_ID = 8

_COUNTERS = re.compile(r"\s*\[\d+:\d+\]")


def service_name(service: Mapping[str, Any]) -> str:
    """`22/tcp`, `icmp`."""
    return f"{service['port']}/{service['protocol']}" if service.get("port") else str(service["protocol"])


def fold(services: Iterable[Mapping[str, Any]]) -> str:
    """Services in few words: `22/tcp, 8000-8003/tcp, icmp`."""
    runs: list[tuple[int | None, int | None, str]] = []  # first port, last port, protocol
    for service in services:
        port, protocol = service.get("port"), str(service["protocol"])
        if runs and port and runs[-1][2] == protocol and runs[-1][1] == port - 1:
            runs[-1] = (runs[-1][0], port, protocol)
        else:
            runs.append((port, port, protocol))
    return ", ".join(
        protocol if not first else f"{first}/{protocol}" if first == last else f"{first}-{last}/{protocol}"
        for first, last, protocol in runs
    )


def chain(rule: Mapping[str, Any]) -> str:
    """The base chain and those the packet was sent into from it: `FORWARD → users-out`."""
    return ARROW.join(rule["chains"])


def body(rule: Mapping[str, Any]) -> str:
    """What the rule says, without the chain it says it in and without hit counters; empty when facts do not show it."""
    text = str(rule.get("text") or "").removeprefix(f"-A {rule['chain']} ")
    return _COUNTERS.sub("", text) if rule["policy"] else text


def place(rule: Mapping[str, Any]) -> str:
    """`dc-core/iptables.rules:31`; empty when facts do not show it."""
    return f"{rule['file']}:{rule['line']}" if rule.get("file") else ""


def short(run_id: str) -> str:
    """The start of a run's id, which every command and address accepts."""
    return run_id[:SHORT_ID]


def ago(then_ms: int, now_ms: int | None = None) -> str:
    """`12 s ago`; empty for 0, which stands for never."""
    if not then_ms:
        return ""
    seconds = max(0, (now_ms if now_ms is not None else int(time.time() * 1000)) - then_ms) / 1000
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def duration(ms: float) -> str:
    """`14 ms`, `2.3 s`, `4 min`, `2 h`."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    if ms < 3_600_000:
        return f"{ms / 60_000:.0f} min"
    return f"{ms / 3_600_000:.1f} h"


def spans(numbers: Sequence[int]) -> str:
    """`32-40, 43` for sorted numbers."""
    groups: list[list[int]] = []
    for number in sorted(numbers):
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(str(g[0]) if len(g) == 1 else f"{g[0]}-{g[-1]}" for g in groups)
