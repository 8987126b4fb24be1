"""A result as CSV: one row for each service, direction and router, with the blocking rule. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from app.answers.paths import Leg, ServicePath, Stop, service_paths
from app.web.forms.spreadsheet import row
from netlab.results.document import YES, Result

COLUMNS = "source destination service answer direction hop router in out result rule file line note one_way".split()


def result_csv(result: Result) -> str:
    """Return the whole result as CSV, with COLUMNS as the header.

    `note` is the reason if no rule is named. `one_way` is `yes` if only the forward path was tested.
    """
    lines = [row(COLUMNS)]
    for path in service_paths(result):
        asked = [path.source, path.destination, path.service, path.result]
        passed = [cells for direction, leg in path.legs for cells in _cells(direction, leg)]
        passed = passed or [["request", *[None] * 8, _reason(path)]]
        lines += [row([*asked, *cells, "yes" if result.one_way else "no"]) for cells in passed]
    return "".join(lines)


def _cells(direction: str, leg: Leg) -> Iterable[list[object]]:
    ends_at = len(leg.stops) - 1 if leg.end is None and leg.result != YES else leg.end
    for n, stop in enumerate(leg.stops):
        file, _, line = stop.rule.where.rpartition(":") if stop.rule else ("", "", "")
        rule = stop.rule.without_place if stop.rule else None
        hop = None if stop.not_probed else n + 1
        note = _note(stop, leg.reason if n == ends_at else "")
        yield [direction, hop, stop.router, stop.in_iface, stop.out_iface, stop.result, rule, file, line, note]


def _note(stop: Stop, reason: str) -> str:
    if stop.not_probed:
        return "further on; would also block it"
    return "" if stop.rule and stop.result != YES else reason


def _reason(path: ServicePath) -> str:
    return path.stopped[1].reason if path.stopped else ""
