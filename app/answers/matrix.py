"""The matrix of a result: routers down, services across, each cell a verdict with the rule behind it. Pure.

    result, its paths ──▶ matrix() ──▶ Matrix(columns, rows, together) ──▶ a template's table

If a run tested the return path, the routers of the reply follow those of the request. UNKNOWN never counts as NO,
neither in the cells nor in the last row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from app.answers.paths import Leg, ServicePath, Stop
from app.answers.rule_text import RuleText, router_address
from netlab.results.document import NO, YES, Result, ServiceResult
from netlab.results.services import fold, service_name

MARKS = {"YES": "✓", "NO": "✕", "UNKNOWN": "?", "": "·"}
TOGETHER = "overall"
MANY = 12
"""If there are more columns than this, equal neighbours are merged even if their ports are not consecutive."""


@dataclass(frozen=True)
class Column:
    """One service, or several consecutive ones with the same answer everywhere."""

    label: str
    """Name of the column, such as `443/tcp`, `8000-8003/tcp` or `22/tcp … 995/tcp (9)`."""
    names: tuple[str, ...]


class Answer(NamedTuple):
    """Content of a cell. `result` is "" if the service does not pass that router."""

    result: str
    rule: RuleText | None
    note: str
    """The reason if no rule is named, otherwise empty."""
    small: str = ""
    """Addition to the result, such as `forward path` or `reply`."""


NOT_HERE = Answer("", None, "")


@dataclass(frozen=True)
class Cell:
    """The answer for one column on one router, or for all routers together."""

    result: str
    rule: RuleText | None
    note: str
    small: str
    spoken: str
    """The cell in words for screen readers, such as `dc-core, 443/tcp: NO, FORWARD rule 7`."""

    @property
    def mark(self) -> str:
        """The sign of the result: ✓, ✕, ?, or · if the service does not pass."""
        return MARKS[self.result]


@dataclass(frozen=True)
class Row:
    """One router as some services pass it, on the forward or return path. `through` is, for example, `eth0 → eth1`."""

    name: str
    direction: str
    hop: int
    through: str
    href: str
    cells: tuple[Cell, ...]

    @property
    def called(self) -> str:
        """The label of the row, such as `edge` or `edge, reply`."""
        return _called(self.name, self.direction)


@dataclass(frozen=True)
class Matrix:
    """The rows of routers. Every row, and `together`, has one cell for each column."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    together: tuple[Cell, ...]


@dataclass
class _Place:
    """A row under construction: one router at one position of the path, with its answer for each service name."""

    direction: str
    hop: int
    stop: Stop
    answers: dict[str, Answer] = field(default_factory=dict)


def matrix(result: Result, paths: Sequence[ServicePath]) -> Matrix:
    """Build the matrix from a result and its paths."""
    places = _places(paths)
    columns = [
        (
            service,
            (
                *(place.answers.get(path.service, NOT_HERE) for place in places),
                _together(service, path),
            ),
        )
        for service, path in zip(result.services, paths, strict=True)
    ]
    groups = _folded(columns)
    labels = [_column([service for service, _ in group]) for group in groups]
    answers = [group[0][1] for group in groups]
    rows = tuple(
        Row(
            place.stop.router,
            place.direction,
            place.hop,
            place.stop.through,
            router_address(place.stop.router),
            tuple(
                _cell(_called(place.stop.router, place.direction), c.label, a[n])
                for c, a in zip(labels, answers, strict=True)
            ),
        )
        for n, place in enumerate(places)
    )
    together = tuple(_cell(TOGETHER, c.label, a[-1]) for c, a in zip(labels, answers, strict=True))
    return Matrix(tuple(labels), rows, together)


def _called(router: str, direction: str) -> str:
    return f"{router}, reply" if direction == "reply" else router


def _places(paths: Iterable[ServicePath]) -> list[_Place]:
    """Return all rows: those of the request by hop, then those of the reply.

    A packet that ends in a router has no outgoing interface. It shares the row of the packets that arrived on the same
    interface, because a separate row would list the same router twice. The same applies to a router that is only known
    to block the packet further along the path.
    """
    by_key: dict[tuple[str, int, str, str, str], _Place] = {}
    inside: list[tuple[_Place, str]] = []
    for path in paths:
        for direction, leg in path.legs:
            for hop, stop in enumerate(leg.stops, 1):
                answer = _answer(leg, hop - 1)
                if stop.not_probed or (stop.result == NO and not stop.out_iface):
                    inside.append((_Place(direction, hop, stop, {path.service: answer}), path.service))
                    continue
                key = (direction, hop, stop.router, stop.in_iface, stop.out_iface)
                by_key.setdefault(key, _Place(direction, hop, stop)).answers[path.service] = answer
    places = list(by_key.values())
    for late, service in inside:
        shared = next((place for place in places if _shares(place, late, service)), None)
        if shared:
            shared.answers |= late.answers
        else:
            places.append(late)
    return sorted(places, key=lambda place: (place.direction == "reply", place.hop))


def _shares(place: _Place, late: _Place, service: str) -> bool:
    if service in place.answers or (place.direction, place.stop.router) != (late.direction, late.stop.router):
        return False
    return late.stop.not_probed or (
        not place.stop.not_probed and (place.hop, place.stop.in_iface) == (late.hop, late.stop.in_iface)
    )


def _answer(leg: Leg, at: int) -> Answer:
    stop = leg.stops[at]
    if stop.not_probed:
        return Answer(stop.result, None, "would also block it", "also blocks")
    return Answer(stop.result, stop.rule, leg.reason if at == leg.end and not stop.rule else "")


def _together(service: ServiceResult, path: ServicePath) -> Answer:
    """Return the service's overall answer, and the direction that it is about."""
    note = service.reason or ""
    if path.stopped is None:
        return Answer(path.result, None, note, "" if path.both_ways or path.result != YES else "forward path")
    direction, leg = path.stopped
    small = direction if path.both_ways and leg.result == NO else ""
    if leg.end is None or leg.result != NO:
        return Answer(path.result, None, note or leg.reason, small)
    stop = leg.stops[leg.end]
    if path.both_ways:
        return Answer(path.result, stop.rule, f"the {direction} is blocked by {stop.router}", small)
    blockers = ", ".join(dict.fromkeys(stop.router for stop in leg.stops if stop.result == NO))
    return Answer(path.result, None, note or f"stopped by {blockers}")


def _cell(router: str, label: str, answer: Answer) -> Cell:
    if not answer.result:
        return Cell("", None, "", "", f"{router}, {label}: does not pass here")
    words = ["only the forward path was tested"] if answer.small == "forward path" else []
    why = [part for part in (*words, answer.note, answer.rule.short if answer.rule else "") if part]
    return Cell(*answer, f"{router}, {label}: {', '.join([answer.result, *why])}")


Columns = list[tuple[ServiceResult, tuple[Answer, ...]]]


def _folded(columns: Columns) -> list[Columns]:
    """Merge neighbouring columns that have the same answers.

    Columns with consecutive ports are always merged. If many columns remain, all neighbours are merged.
    """
    groups: list[Columns] = []
    for service, answers in columns:
        if groups and groups[-1][0][1] == answers and _follows(groups[-1][-1][0], service):
            groups[-1].append((service, answers))
        else:
            groups.append([(service, answers)])
    if len(groups) <= MANY:
        return groups
    return [list(group) for _, group in groupby(columns, key=lambda column: column[1])]


def _follows(before: ServiceResult, after: ServiceResult) -> bool:
    return before.protocol == after.protocol and before.port is not None and after.port == before.port + 1


def _column(services: list[ServiceResult]) -> Column:
    names = tuple(map(service_name, services))
    label = fold(services)
    return Column(label if label.count(",") < 2 else f"{names[0]} … {names[-1]} ({len(names)})", names)
