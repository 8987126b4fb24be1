"""The matrix of a result: routers down, services across, each cell a verdict with the rule behind it. Pure.

    result document ──▶ matrix() ──▶ Matrix(columns, rows, together) ──▶ a template's table

An UNKNOWN stays one: neither the cells nor the last row count it among the NOs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from app.spelling import fold, service_name
from app.web.rule_text import RuleText, rule_text

MARKS = {"YES": "✓", "NO": "✕", "UNKNOWN": "?", "": "·"}
TOGETHER = "all together"
MANY = 12
"""With more columns than this, equal neighbours fold even where their ports do not follow each other."""


@dataclass(frozen=True)
class Column:
    """A service, or several in turn that fare the same everywhere."""

    label: str
    """`443/tcp`, `8000-8003/tcp`, `22/tcp … 995/tcp (9)`."""
    names: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """The answer for one column on one router; result "" where the service does not pass that router."""

    result: str
    rule: RuleText | None
    note: str
    """Why, where no rule says it: a reason in words, or empty."""
    said: str
    """The cell in words for those who do not see it: `dc-core, 443/tcp: NO, FORWARD rule 7`."""

    @property
    def mark(self) -> str:
        """✓, ✕, ?, or · where the service does not pass."""
        return MARKS[self.result]


@dataclass(frozen=True)
class Row:
    """One router as some services pass it; inward or outward is "" where the packet begins or ends in the router."""

    name: str
    hop: int
    inward: str
    outward: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Matrix:
    """Every row and `together` have one cell for each column."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    together: tuple[Cell, ...]


Answer = tuple[str, RuleText | None, str]
"""Result, rule, note."""
NOT_HERE: Answer = ("", None, "")


def matrix(document: Mapping[str, Any]) -> Matrix:
    """The matrix of a ResultDocument as a dict."""
    services = document["services"]
    routers = _share_rows(document["routers"])
    columns = [
        (service, (*(router["cells"].get(service_name(service), NOT_HERE) for router in routers), _together(service)))
        for service in services
    ]
    groups = _folded(columns)
    labels = [_column([service for service, _ in group]) for group in groups]
    answers = [group[0][1] for group in groups]
    rows = tuple(
        Row(
            router["name"],
            router["hop"],
            router["in"] or "",
            router["out"] or "",
            tuple(_cell(router["name"], c.label, a[n]) for c, a in zip(labels, answers, strict=True)),
        )
        for n, router in enumerate(routers)
    )
    together = tuple(_cell(TOGETHER, c.label, a[-1]) for c, a in zip(labels, answers, strict=True))
    return Matrix(tuple(labels), rows, together)


def _share_rows(routers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The document's entries, in which a packet stopped inside shares the row of those that came in as it did.

    It had no way out, so no entry says which way the others went; a row of its own would say the same router twice.
    """
    rows = [{**router, "cells": _by_name(router)} for router in routers if router["out"]]
    for router in routers:
        if router["out"]:
            continue
        alike = [row for row in rows if all(row[key] == router[key] for key in ("name", "hop", "in"))]
        if alike and all(cell["result"] == "NO" for cell in router["services"]):
            alike[0]["cells"] |= _by_name(router)
        else:
            rows.append({**router, "cells": _by_name(router)})
    return sorted(rows, key=lambda row: int(row["hop"]))


def _by_name(router: Mapping[str, Any]) -> dict[str, Answer]:
    return {service_name(cell): (str(cell["result"]), rule_text(cell.get("rule")), "") for cell in router["services"]}


def _together(service: Mapping[str, Any]) -> Answer:
    """The service's answer; with what stopped the way back, which no router's row shows."""
    note = str(service.get("reason") or "")
    if service.get("blocked") == "reply":
        hop = service["hops"][-1]
        return service["result"], rule_text(hop["rule"]), f"the reply is stopped by {hop['router']}"
    if service["result"] != "YES" and service["blocked_by"] and not note:
        note = f"stopped by {', '.join(service['blocked_by'])}"
    return service["result"], None, note


def _cell(router: str, label: str, answer: Answer) -> Cell:
    result, rule, note = answer
    if not result:
        return Cell("", None, "", f"{router}, {label}: does not pass here")
    why = [part for part in (note, rule.short if rule else "") if part]
    return Cell(result, rule, note, f"{router}, {label}: {', '.join([result, *why])}")


Columns = list[tuple[Mapping[str, Any], tuple[Answer, ...]]]


def _folded(columns: Columns) -> list[Columns]:
    """Neighbours with the same answers as one: those whose ports follow each other, and all where columns are many."""
    groups: list[Columns] = []
    for service, answers in columns:
        if groups and groups[-1][0][1] == answers and _follows(groups[-1][-1][0], service):
            groups[-1].append((service, answers))
        else:
            groups.append([(service, answers)])
    if len(groups) <= MANY:
        return groups
    return [list(group) for _, group in groupby(columns, key=lambda column: column[1])]


def _follows(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    same = before["protocol"] == after["protocol"]
    return bool(same and before.get("port") and after.get("port") == before["port"] + 1)


def _column(services: list[Mapping[str, Any]]) -> Column:
    names = tuple(map(service_name, services))
    label = fold(services)
    return Column(label if label.count(",") < 2 else f"{names[0]} … {names[-1]} ({len(names)})", names)
