"""Divides questions into runs, and submits all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ledger.errors import TooManyWaiting
from ledger.runs.bulk import BulkQuestion, BulkRequest, in_parts
from ledger.runs.requests import RunRequest
from ledger.runs.run import Mode, Run
from ledger.store import AppLedger


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run to submit, and the lines of its questions.

    `name` distinguishes the runs of one plan: `part N` for a bulk run, and the line for a run with one question.
    """

    name: str
    request: BulkRequest | RunRequest
    lines: tuple[int, ...]

    def key(self, batch: str) -> str:
        """Return the idempotency key of this run. The space keeps it apart from the keys that API clients can send."""
        return f"{batch} {self.name}"


def planned(questions: Mapping[int, RunRequest], snapshot: str = "") -> list[PlannedRun]:
    """Return the runs for {line: question}: the quick ones in bulk runs, and each detailed one as a run of its own."""
    quick = [BulkQuestion(line, asked) for line, asked in questions.items() if asked.mode is Mode.QUICK]
    parts = [
        PlannedRun(part_name(number), request, tuple(question.line for question in request.questions))
        for number, request in enumerate(in_parts(quick, snapshot), 1)
    ]
    single = [
        PlannedRun(str(line), asked, (line,)) for line, asked in questions.items() if asked.mode is not Mode.QUICK
    ]
    return [*parts, *single]


def part_name(number: int) -> str:
    """Return the name of a bulk run in its plan, counted from 1."""
    return f"part {number}"


def submit_all(
    ledger: AppLedger, plan: Sequence[PlannedRun], *, user: str, batch: str, again: str = ""
) -> Iterator[tuple[PlannedRun, Run, bool]]:
    """Yield (planned run, run, whether it is new) for each run of the plan, in order, as they are stored.

    The same `batch` always gives the same runs. Raises TooManyWaiting before the first run if the user may not have so
    many waiting questions. If other runs of the same user use up the limit in between, it is raised later, and its
    text ends with `again`: how to submit the rest.
    """
    _check_room(ledger, plan, user, batch)
    stored = 0
    for one in plan:
        try:
            yield (one, *_submit(ledger, one, user, batch))
        except TooManyWaiting as refused:
            total = sum(len(each.lines) for each in plan)
            text = f"Only the first {stored:,} of the {total:,} questions were submitted. {refused} {again}"
            raise TooManyWaiting(text.strip()) from None
        stored += len(one.lines)


def _submit(ledger: AppLedger, one: PlannedRun, user: str, batch: str) -> tuple[Run, bool]:
    if isinstance(one.request, BulkRequest):
        return ledger.submit_bulk(one.request, user=user, idempotency_key=one.key(batch))
    return ledger.submit(one.request, user=user, idempotency_key=one.key(batch))


def _check_room(ledger: AppLedger, plan: Sequence[PlannedRun], user: str, batch: str) -> None:
    """Raise TooManyWaiting if the new runs of the plan exceed the user's limit of waiting questions."""
    most = ledger.settings.waiting_max
    room = max(0, most - ledger.waiting_of(user))
    new = sum(len(one.lines) for one in plan)
    if new > room:
        known = ledger.keyed(user, (one.key(batch) for one in plan))
        new = sum(len(one.lines) for one in plan if one.key(batch) not in known)
    if new > room:
        raise TooManyWaiting(
            f"Nothing was submitted: there {'is 1 question' if new == 1 else f'are {new:,} questions'}, but you can add"
            f" only {room:,} now (your limit is {most:,} waiting questions). Submit fewer, or try again when some of your"
            " runs have started."
        )
