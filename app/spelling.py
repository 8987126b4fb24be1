"""How services and rules are called in words, without colour or layout: shared by the terminal and the pages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

ARROW = " → "

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
