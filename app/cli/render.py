"""A result as text for a terminal. Pure. Widths are in columns, and `console.style` adds colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from app.answers.paths import service_paths
from app.answers.sentences import sentences
from app.cli import hops
from app.cli.console import columns, paint, style
from app.formatting import ARROW, short
from netlab.results.document import WORST_FIRST, YES, DetailedResult, Result, RouterResult, ServiceResult, Verdict
from netlab.results.services import fold, service_name

NOT_TESTED = "·"
Routers = Sequence[tuple[RouterResult, Mapping[str, Verdict]]]
"""Each router's entry in the result, and its answers by service name."""


def result(result: Result, *, width: int = 100) -> str:
    """Return the whole text: verdict, sentences, paths, matrix, actions of each router, and caveats."""
    detailed = isinstance(result, DetailedResult)
    head = f"{result.source}{ARROW}{result.destination}  {paint(result.verdict)}"
    head += " forward path" if result.one_way and result.verdict == YES else ""
    details = [f"{'detailed' if detailed else 'quick'} run {short(result.run_id)}"]
    if result.dscp is not None:
        details.append(f"lane {result.dscp}")
    if result.source_port:
        details.append(f"from port {result.source_port}")
    parts = [f"{head}  {style(', '.join(details), dim=True)}"]
    paths = service_paths(result)
    parts.append("\n".join(f"  {paint(one.result)}  {one.text}" for one in sentences(result, paths)))
    parts.append(_paths(result))
    parts.append(matrix(result, width=width))
    if detailed:
        parts += [hops.table(path) for path in paths]
    if result.caveats:
        parts.append("\n".join(["  caveats", *(f"    - {caveat}" for caveat in result.caveats)]))
    parts.append(style(_footer(result), dim=True))
    return "\n\n".join(part for part in parts if part)


def _paths(result: Result) -> str:
    """Return the common path, or each path with the services that take it."""
    services_of: dict[tuple[str, ...], list[ServiceResult]] = {}
    for service in result.services:
        services_of.setdefault(service.path, []).append(service)
    lines = []
    for path, services in services_of.items():
        names = "" if len(services_of) == 1 else f"  ({fold(services)})"
        lines.append(f"  path  {ARROW.join(path) if path else 'no router in between'}{names}")
    return "\n".join(lines)


def matrix(result: Result, *, width: int = 100) -> str:
    """Return the matrix with routers down and services across, or transposed if it would be too wide."""
    names = [service_name(service) for service in result.services]
    routers = [(router, _results(router)) for router in result.routers]
    if not routers:
        return ""
    table = [["router", "in → out", *names]]
    for router, results in routers:
        interfaces = f"{router.in_iface or '?'}{ARROW}{router.out_iface or hops.end(_worst(results))}"
        table.append([router.name, interfaces, *(paint(results.get(name, NOT_TESTED)) for name in names)])
    table.append(["overall", "", *(paint(service.result) for service in result.services)])
    if _wide(table) <= width:
        return columns(table)
    return _across(result.services, routers)


def _across(services: Sequence[ServiceResult], routers: Routers) -> str:
    """Return one row for each service, or for several consecutive ones with the same answers.

    A router that is passed more than once has one column, with its worst answer.
    """
    names = list(dict.fromkeys(router.name for router, _ in routers))
    rows: list[tuple[list[ServiceResult], list[str]]] = []
    for service in services:
        key = service_name(service)
        cells = []
        for name in names:
            answers = [results[key] for router, results in routers if router.name == name and key in results]
            cells.append(paint(min(answers, key=WORST_FIRST.index) if answers else NOT_TESTED))
        cells.append(paint(service.result))
        if rows and rows[-1][1] == cells and not fold([*rows[-1][0], service]).count(","):
            rows[-1][0].append(service)
        else:
            rows.append(([service], cells))
    return columns([["service", *names, "overall"], *([fold(group), *cells] for group, cells in rows)])


def _worst(results: Mapping[str, Verdict]) -> Verdict:
    return min(results.values(), key=WORST_FIRST.index, default=YES)


def _results(router: RouterResult) -> dict[str, Verdict]:
    return {service_name(cell): cell.result for cell in router.services}


def _wide(table: Sequence[Sequence[str]]) -> int:
    return max(len(line) for line in click.unstyle(columns(table)).splitlines())


def _footer(result: Result) -> str:
    parts = [f"facts {result.facts[:12]}"]
    if "total" in result.timing_ms:
        parts.append(f"{result.timing_ms['total']:.3g} ms on the bench")
    return "  " + ", ".join(parts)
