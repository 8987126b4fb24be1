"""The answer of each row, from runs with one question and from bulk runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.answers.bulk import stopped_by
from app.stored_result import bulk_result_of
from app.web.forms.spreadsheet import row
from ledger.errors import RunDamaged
from ledger.runs.run import Mode, Run, State
from ledger.store import AppLedger
from netlab.results.bulk import BulkResult
from netlab.results.document import YES
from netlab.results.services import ServiceLike, service_name

COLUMNS = "line source destination services mode state answer stopped_by run one_way".split()


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """One row, its run, and its answer if the run has one."""

    line: int
    run: Run
    source: str
    destination: str
    services: tuple[ServiceLike, ...]
    source_port: int | None = None
    verdict: str = ""
    """"" without an answer."""
    stopped_by: str = ""

    @property
    def mode(self) -> Mode:
        """The mode in which the row was tested."""
        return Mode.QUICK if self.run.mode is Mode.BULK else self.run.mode

    @property
    def forward_only(self) -> bool:
        """Whether the answer is a YES that covers only the forward path."""
        return self.mode is not Mode.DETAILED and self.verdict == YES

    @property
    def outcome(self) -> str:
        """The answer, or else the state of the run. An ended bulk run without a result for this row has failed."""
        return self.verdict or str(self.run.state)

    @property
    def why_not(self) -> str:
        """Why the row has no answer, or not yet; "" if that is unknown."""
        return "" if self.verdict else self.run.error or self.run.wait_reason


def of_single(line: int, run: Run) -> AnsweredRow:
    """Return the row of a run with one question."""
    verdict = run.verdict if run.state is State.DONE else ""
    return AnsweredRow(
        line,
        run,
        run.source,
        run.destination,
        run.services,
        run.source_port,
        verdict,
        run.stopped_by if verdict else "",
    )


def of_bulk(ledger: AppLedger, run: Run) -> list[AnsweredRow]:
    """Return the rows of a bulk run. Raises RunDamaged if its result, or the questions of an unfinished run, are damaged."""
    result = bulk_result_of(ledger, run)
    if result is not None:
        return list(_answered(run, result))
    return [
        AnsweredRow(
            question.line,
            run,
            question.asked.source,
            question.asked.destination,
            question.asked.services,
            question.asked.source_port,
        )
        for question in ledger.questions(run.id)
    ]


def _answered(run: Run, result: BulkResult) -> Iterator[AnsweredRow]:
    for answer in result.answers:
        yield AnsweredRow(
            answer.line,
            run,
            answer.source,
            answer.destination,
            answer.services,
            answer.source_port,
            answer.verdict,
            stopped_by(result, answer),
        )


def of_bulk_runs(ledger: AppLedger, runs: Iterable[Run]) -> tuple[dict[int, AnsweredRow], list[str]]:
    """Return {line: row} of several bulk runs, and what is damaged, in words."""
    rows: dict[int, AnsweredRow] = {}
    damage = []
    for run in runs:
        try:
            rows |= {one.line: one for one in of_bulk(ledger, run)}
        except RunDamaged as damaged:
            damage.append(run.error or str(damaged))
    return rows, damage


def answers_csv(rows: Iterable[AnsweredRow]) -> str:
    """Return the rows as CSV, with COLUMNS as the header."""
    return "".join([row(COLUMNS), *(row(_cells(one)) for one in rows)])


def _cells(one: AnsweredRow) -> list[object]:
    services = " ".join(map(service_name, one.services))
    one_way = "no" if one.mode is Mode.DETAILED else "yes"
    return [
        *(one.line, one.source, one.destination, services, one.mode, one.run.state, one.verdict),
        *(one.stopped_by, one.run.id, one_way),
    ]
