"""The questions of a comparison: rows of a user, recent questions, and the management flows of the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.rows import Row, read_rows
from ledger.errors import BadInput
from ledger.runs.bulk import BulkQuestion
from ledger.runs.requests import RunRequest
from ledger.runs.run import Mode, State
from ledger.store import AppLedger

QUESTIONS_MAX = 20_000
"""Maximum number of questions of a comparison."""
FLOWS_MAX = 500
"""Maximum number of management flows of a network."""
RECENT = 200
"""Number of recent questions that are asked if a user gives none."""
_HISTORY = 2000
"""Number of runs that are read to find recent questions."""
_FIRST_PORT, _PORTS = 49_152, 16_000
"""Source ports of the questions without one. Both sides must use the same, or a route by a hash would differ."""


@dataclass(frozen=True)
class Questions:
    """All questions of a comparison, and the lines of those that are management flows."""

    asked: tuple[BulkQuestion, ...]
    guarded: frozenset[int]


class BadRows(BadInput):
    """Some rows cannot be asked. `rows` has each of them, with what is wrong."""

    def __init__(self, field: str, rows: Sequence[Row]) -> None:
        first = rows[0]
        more = f", and {len(rows) - 1} more row{'s' if len(rows) > 2 else ''}" if len(rows) > 1 else ""
        super().__init__(field, f"line {first.line}", f"cannot be asked: {first.errors[0]}{more}")
        self.rows = tuple(rows)


def rows_of(text: str, field: str = "rows", *, at_most: int = QUESTIONS_MAX) -> list[tuple[int, RunRequest]]:
    """Read rows `source, destination, services`, and return (line, request) of each. Raises BadInput or BadRows."""
    rows = read_rows(text, at_most=at_most)
    wrong = [row if row.errors else _not_quick(row) for row in rows if row.errors or not _is_quick(row)]
    if wrong:
        raise BadRows(field, wrong)
    return [(row.line, row.request) for row in rows if row.request]


def flows_of(text: str) -> list[tuple[int, RunRequest]]:
    """Read the rows of management flows. Raises BadInput or BadRows."""
    return rows_of(text, "management flows", at_most=FLOWS_MAX)


def recent_questions(ledger: AppLedger, number: int = RECENT, *, user: str | None = None) -> list[RunRequest]:
    """Return the distinct questions of the last quick tests in this network, the newest first: of all users, or of one."""
    found: dict[RunRequest, None] = {}
    offset = 0
    while len(found) < number and offset < _HISTORY:
        runs, _ = ledger.search(mode=Mode.QUICK, state=State.DONE, user=user, offset=offset, limit=500)
        for run in runs:
            asked = {"source": run.source, "destination": run.destination, "services": run.services}
            found.setdefault(RunRequest(**asked, source_port=run.source_port))
        offset += 500
        if len(runs) < 500:
            break
    return list(found)[:number]


def assemble(ledger: AppLedger, asked: Iterable[tuple[int, RunRequest]]) -> Questions:
    """Return the questions, with the management flows of the network after them. Raises BadInput without any question."""
    questions = list(asked)
    last = max((line for line, _ in questions), default=0)
    flows = [request for _, request in flows_of(ledger.management_flows())]
    guarded = {last + number: flow for number, flow in enumerate(flows, 1)}
    questions += guarded.items()
    if not questions:
        raise BadInput("rows", "", "there is no question to ask: give rows, or ask some tests first")
    if len(questions) > QUESTIONS_MAX:
        raise BadInput("rows", len(questions), f"are too many questions: at most {QUESTIONS_MAX} in one comparison")
    return Questions(tuple(BulkQuestion(line, _with_port(line, one)) for line, one in questions), frozenset(guarded))


def assigned_port(line: int) -> int:
    """Return the source port of a question for which the user gave none."""
    return _FIRST_PORT + line % _PORTS


def _with_port(line: int, request: RunRequest) -> RunRequest:
    if request.source_port is not None:
        return request
    return request.model_copy(update={"source_port": assigned_port(line)})


def _is_quick(row: Row) -> bool:
    return row.request is not None and row.request.mode is Mode.QUICK


def _not_quick(row: Row) -> Row:
    return Row(row.line, row.text, None, ("mode: a comparison asks only quick tests: leave the mode out",))
