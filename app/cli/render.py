"""A result document as text for a terminal: pure. Width in columns, colour by `click.style`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from app.cli.words import ARROW, columns, paint, short

NOT_ASKED = "·"


def service_name(service: Mapping[str, Any]) -> str:
    """`22/tcp`, `icmp`."""
    return f"{service['port']}/{service['protocol']}" if service.get("port") else str(service["protocol"])


def result(document: Mapping[str, Any], *, width: int = 100) -> str:
    """Verdict, reason, path, the matrix of routers and services, who blocks what, caveats."""
    head = f"{document['source']}{ARROW}{document['destination']}  {paint(document['verdict'])}"
    facts = [f"{document['mode']} run {short(document['run_id'])}"]
    if document.get("dscp") is not None:
        facts.append(f"lane {document['dscp']}")
    if document.get("source_port"):
        facts.append(f"from port {document['source_port']}")
    parts = [f"{head}  {click.style(', '.join(facts), dim=True)}"]
    if document.get("reason"):
        parts.append(f"  {document['reason']}")
    parts.append(_paths(document))
    parts.append(matrix(document, width=width))
    parts.append(_blockers(document["services"]))
    if document.get("caveats"):
        parts.append("\n".join(["  mind:", *(f"    - {caveat}" for caveat in document["caveats"])]))
    parts.append(click.style(_footer(document), dim=True))
    return "\n\n".join(part for part in parts if part)


def _paths(document: Mapping[str, Any]) -> str:
    """The common path, or each path with the services that take it."""
    taken: dict[tuple[str, ...], list[str]] = {}
    for service in document["services"]:
        taken.setdefault(tuple(service.get("path") or document["path"]), []).append(service_name(service))
    lines = []
    for path, services in taken.items():
        who = "" if len(taken) == 1 else f"  ({', '.join(services)})"
        lines.append(f"  path  {ARROW.join(path) if path else 'no router on the way'}{who}")
    return "\n".join(lines)


def matrix(document: Mapping[str, Any], *, width: int = 100) -> str:
    """Routers down and services across, or the other way round when that is what fits."""
    services = [service_name(service) for service in document["services"]]
    routers = [(router, _results(router)) for router in document["routers"]]
    if not routers:
        return ""
    down = [["router", "in → out", *services]]
    for router, results in routers:
        interfaces = f"{router.get('in') or '?'}{ARROW}{router.get('out') or 'itself'}"
        down.append([router["name"], interfaces, *(paint(results.get(s, NOT_ASKED)) for s in services)])
    down.append(
        ["all together", "", *(paint(service["result"]) for service in document["services"])],
    )
    if _wide(down) <= width:
        return columns(down)
    across = [["service", *(router["name"] for router, _ in routers), "all together"]]
    for name, service in zip(services, document["services"], strict=True):
        cells = (paint(results.get(name, NOT_ASKED)) for _, results in routers)
        across.append([name, *cells, paint(service["result"])])
    return columns(across)


def _results(router: Mapping[str, Any]) -> dict[str, str]:
    return {service_name(service): service["result"] for service in router["services"]}


def _wide(table: Sequence[Sequence[str]]) -> int:
    return max(len(line) for line in click.unstyle(columns(table)).splitlines())


def _blockers(services: Iterable[Mapping[str, Any]]) -> str:
    """`22/tcp, 80/tcp: blocked by dc-fw, dc-core`, a line for each set of routers that says no."""
    blocked: dict[tuple[str, ...], list[str]] = {}
    for service in services:
        if service.get("blocked_by"):
            blocked.setdefault(tuple(service["blocked_by"]), []).append(service_name(service))
    return "\n".join(f"  {', '.join(what)}: blocked by {', '.join(who)}" for who, what in blocked.items())


def _footer(document: Mapping[str, Any]) -> str:
    timing = document.get("timing_ms") or {}
    parts = [f"facts {str(document.get('facts', ''))[:12]}"]
    parts += [f"{name} {value:g} ms" for name, value in timing.items() if isinstance(value, int | float)]
    return "  " + ", ".join(parts)
