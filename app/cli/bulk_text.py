"""The answers of many questions as text for a terminal: one line for each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.answers.bulk import stopped_by
from app.cli.console import columns, paint, style
from app.formatting import ARROW, short
from app.questions.answered import AnsweredRow
from netlab.results.bulk import BulkAnswer, BulkResult
from netlab.results.document import YES
from netlab.results.services import ServiceLike, fold

SERVICES_SHOWN = 60
"""Maximum number of characters of the services in a line."""


def row_lines(rows: Iterable[AnsweredRow]) -> str:
    """Return one line for each row: its line, answer, question, and what stopped it or why it has no answer."""
    return columns(
        [
            _line(one.line, one.outcome, one.source, one.destination, one.services, one.stopped_by or one.why_not)
            for one in rows
        ],
        indent=0,
    )


def bulk_result(result: BulkResult) -> str:
    """Return the whole text of a bulk run: its counts, then one line for each question."""
    details = f"bulk run {short(result.run_id)}, facts {result.facts[:12]}, forward path only"
    head = f"{counts(result)}  {style(details, dim=True)}"
    return f"{head}\n\n{columns([_answer(result, answer) for answer in result.answers])}"


def counts(result: BulkResult) -> str:
    """Return the number of questions, and of each answer: `200 questions: 190 YES, 10 NO`."""
    total = len(result.answers)
    given = ", ".join(f"{number:,} {paint(verdict)}" for verdict, number in result.counts.items())
    return f"{total:,} question{'' if total == 1 else 's'}: {given}"


def _answer(result: BulkResult, answer: BulkAnswer) -> list[str]:
    stops = stopped_by(result, answer)
    return _line(answer.line, answer.verdict, answer.source, answer.destination, answer.services, stops)


def _line(
    line: int, outcome: str, source: str, destination: str, services: Sequence[ServiceLike], stops: str
) -> list[str]:
    named = fold(services)
    named = named if len(named) <= SERVICES_SHOWN else f"{named[: SERVICES_SHOWN - 2]} …"
    answer = paint(outcome) + (" forward path" if outcome == YES else "")
    return [f"{line}", answer, f"{source}{ARROW}{destination}", named, stops]
