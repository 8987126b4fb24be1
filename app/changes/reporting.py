"""The state of a comparison, and its report when every question is answered in both snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from app.answers.impact.compare import compare
from app.answers.impact.document import Impact, ImpactCounts
from app.answers.impact.expectation import NOTHING, Expectation, read_expectation
from app.answers.impact.judgement import Judgement, judge
from app.changes.questions import assigned_port
from app.formatting import short
from app.snapshots.push import changes_between
from app.stored_result import bulk_result_of
from ledger.changes.records import Change
from ledger.errors import ReachqError, RunDamaged, RunNotFound
from ledger.runs.run import ENDED, Run, State
from ledger.store import AppLedger
from netlab.facts.changes.document import FactsChanges
from netlab.results.bulk import BulkAnswer, BulkResult

EXPECTATION_FILE = "expectation"
"""How messages name the expectation of a stored comparison."""


class NoReport(ReachqError):
    """The comparison has no report now."""

    code = "no-report"


@dataclass(frozen=True)
class Progress:
    """How much of a comparison is done. `problem` says why there will be no report, or is ""."""

    answered: int
    """Number of questions that are answered, over both snapshots."""
    questions: int
    """Number of questions, over both snapshots."""
    problem: str = ""
    waiting: str = ""
    """Why its first waiting run waits, or ""."""

    @property
    def finished(self) -> bool:
        """Whether all questions are answered."""
        return not self.problem and self.answered == self.questions


class Report(Struct, frozen=True):
    """The impact, and how it compares with what was expected: with no change, unless an expectation was given."""

    impact: Impact
    judgement: Judgement
    expected: Annotated[bool, Meta(description="whether an expectation was given")]


def progress_of(ledger: AppLedger, change: Change) -> Progress:
    """Return the state of a comparison."""
    runs, answered, problem, waiting = [], 0, "", ""
    for run_id in change.runs:
        try:
            runs.append(ledger.run(run_id))
        except RunNotFound:
            problem = "its runs are no longer in the history: compare the snapshots again"
        except RunDamaged:
            problem = f"the record of run {short(run_id)} is damaged: compare the snapshots again"
    for run in runs:
        if run.state is State.DONE:
            answered += run.questions
        elif run.state in ENDED:
            problem = problem or _why(run)
        elif run.state is State.RUNNING:
            answered += _so_far(ledger, run)
        elif not waiting:
            waiting = run.wait_reason
    return Progress(answered, 2 * change.questions, problem, waiting)


def report_of(ledger: AppLedger, change: Change) -> Report:
    """Return the report of a finished comparison.

    Raises NoReport, RunDamaged for a damaged result, AnswersDoNotMatch, and SnapshotNotFound or StoreDamaged if the files
    of a snapshot are gone.
    """
    progress = progress_of(ledger, change)
    if not progress.finished:
        raise NoReport(
            f"Comparison {short(change.id)} has no report: "
            + (progress.problem or f"{progress.answered} of {progress.questions} questions are answered")
            + "."
        )
    sides = [_results(ledger, runs) for runs in (change.runs_before, change.runs_after)]
    impact = compare(
        sides[0], sides[1], changes_between(ledger, change.before, change.after), guarded=frozenset(change.guarded)
    )
    expected = read_expectation(change.expectation, EXPECTATION_FILE) if change.expectation else NOTHING
    return Report(impact, judge(impact, expected), bool(change.expectation))


def report_of_no_change(facts: str, expectation: Expectation, *, expected: bool) -> Report:
    """Return the report of a change after which the facts have the same meaning: no question has to be asked."""
    impact = Impact(
        summary="no cells changed: the facts are the same",
        before=facts,
        after=facts,
        counts=ImpactCounts(),
        cells=(),
        noted=(),
        changes=FactsChanges("no changes", (), ()),
    )
    return Report(impact, judge(impact, expectation), expected)


def _results(ledger: AppLedger, run_ids: Iterable[str]) -> list[BulkResult]:
    results = []
    for run_id in run_ids:
        result = bulk_result_of(ledger, ledger.run(run_id))
        if result is None:
            raise NoReport(
                f"Run {short(run_id)} of the comparison has no result any more: compare the snapshots again."
            )
        results.append(replace(result, answers=tuple(map(_without_assigned_port, result.answers))))
    return results


def _without_assigned_port(answer: BulkAnswer) -> BulkAnswer:
    """Return the answer without its source port, unless the user gave one."""
    return replace(answer, source_port=None) if answer.source_port == assigned_port(answer.line) else answer


def _why(run: Run) -> str:
    if run.state is State.CANCELLED:
        return f"run {short(run.id)} was cancelled"
    return f"run {short(run.id)} failed: {run.error}"


def _so_far(ledger: AppLedger, run: Run) -> int:
    """Return the number of answered questions of a running bulk run, by its last message of progress."""
    log = ledger.log(run.id)
    return run.questions * log[-1].percent // 100 if log else 0
