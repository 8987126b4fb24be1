"""A result document as text for a terminal: pure. Width in columns, colour by `words.style`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from app.cli import rules
from app.cli.console import columns, paint, style
from app.formatting import ARROW, fold, service_name, short

NOT_ASKED = "·"
WORST_FIRST = ("NO", "UNKNOWN", "YES")
Routers = Sequence[tuple[Mapping[str, Any], Mapping[str, str]]]
"""A router's entry in the document, and its answers by the names of the services."""


def result(document: Mapping[str, Any], *, width: int = 100) -> str:
    """Verdict, reason, path, the matrix of routers and services, who blocks what, caveats."""
    head = f"{document['source']}{ARROW}{document['destination']}  {paint(document['verdict'])}"
    facts = [f"{document['mode']} run {short(document['run_id'])}"]
    if document.get("dscp") is not None:
        facts.append(f"lane {document['dscp']}")
    if document.get("source_port"):
        facts.append(f"from port {document['source_port']}")
    parts = [f"{head}  {style(', '.join(facts), dim=True)}"]
    if document.get("reason"):
        parts.append(f"  {document['reason']}")
    parts.append(_paths(document))
    parts.append(matrix(document, width=width))
    if document["mode"] == "detailed":
        parts.append(rules.ways(document["services"]))
    else:
        parts.append(_blockers(document["services"]))
        parts.append(rules.blocking(document["routers"]))
    if document.get("caveats"):
        parts.append("\n".join(["  caveats", *(f"    - {caveat}" for caveat in document["caveats"])]))
    parts.append(style(_footer(document), dim=True))
    return "\n\n".join(part for part in parts if part)


def _paths(document: Mapping[str, Any]) -> str:
    """The common path, or each path with the services that take it."""
    taken: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for service in document["services"]:
        taken.setdefault(tuple(service["path"]), []).append(service)
    lines = []
    for path, services in taken.items():
        who = "" if len(taken) == 1 else f"  ({fold(services)})"
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
        interfaces = f"{router.get('in') or '?'}{ARROW}{router.get('out') or rules.end(_worst(results))}"
        down.append([router["name"], interfaces, *(paint(results.get(s, NOT_ASKED)) for s in services)])
    down.append(
        ["all together", "", *(paint(service["result"]) for service in document["services"])],
    )
    if _wide(down) <= width:
        return columns(down)
    return _across(document["services"], routers)


def _across(services: Sequence[Mapping[str, Any]], routers: Routers) -> str:
    """A row for each service, or several in turn with the same answers.

    A router that is passed in several ways has one column, with its worst answer.
    """
    names = list(dict.fromkeys(router["name"] for router, _ in routers))
    rows: list[tuple[list[Mapping[str, Any]], list[str]]] = []
    for service in services:
        called = service_name(service)
        cells = []
        for name in names:
            said = [results[called] for router, results in routers if router["name"] == name and called in results]
            cells.append(paint(min(said, key=WORST_FIRST.index) if said else NOT_ASKED))
        cells.append(paint(service["result"]))
        if rows and rows[-1][1] == cells and not fold([*rows[-1][0], service]).count(","):
            rows[-1][0].append(service)
        else:
            rows.append(([service], cells))
    return columns([["service", *names, "all together"], *([fold(asked), *cells] for asked, cells in rows)])


def _worst(results: Mapping[str, str]) -> str:
    return min(results.values(), key=WORST_FIRST.index, default="YES")


def _results(router: Mapping[str, Any]) -> dict[str, str]:
    return {service_name(service): service["result"] for service in router["services"]}


def _wide(table: Sequence[Sequence[str]]) -> int:
    return max(len(line) for line in click.unstyle(columns(table)).splitlines())


def _blockers(services: Iterable[Mapping[str, Any]]) -> str:
    """`22/tcp, 80/tcp: blocked by dc-fw, dc-core`, a line for each set of routers that says no."""
    blocked: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for service in services:
        if service["blocked_by"]:
            blocked.setdefault(tuple(service["blocked_by"]), []).append(service)
    return "\n".join(f"  {fold(what)}: blocked by {', '.join(who)}" for who, what in blocked.items())


def _footer(document: Mapping[str, Any]) -> str:
    timing = document.get("timing_ms") or {}
    parts = [f"facts {str(document.get('facts', ''))[:12]}"]
    if "total" in timing:
        parts.append(f"{timing['total']:.3g} ms on the bench")
    return "  " + ", ".join(parts)
