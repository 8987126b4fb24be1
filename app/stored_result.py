"""Reads the stored result of a run. A document that cannot be read counts as damage of that run."""

from __future__ import annotations

import logging

from ledger.errors import BadInput, RunDamaged
from ledger.runs.run import Mode, Run, State
from ledger.store import AppLedger
from netlab.results.bulk import BulkResult, decode_bulk
from netlab.results.codec import BadDocument, decode
from netlab.results.document import Result

log = logging.getLogger(__name__)


def result_of(ledger: AppLedger, run: Run) -> Result | None:
    """Return the result of a finished run with one question, otherwise None.

    Raises RunDamaged; the details are in the log. Raises BadInput for a bulk run, which has many answers.
    """
    if run.mode is Mode.BULK:
        raise BadInput("run", run.id, "is a bulk run, and this works only for a run with one question")
    text = ledger.result(run.id) if run.state is State.DONE else None
    if text is None:
        return None
    try:
        return decode(text)
    except BadDocument as bad:
        raise _damaged(run, bad) from None


def bulk_result_of(ledger: AppLedger, run: Run) -> BulkResult | None:
    """Return the result of a finished bulk run, otherwise None. Raises RunDamaged; the details are in the log."""
    text = ledger.result(run.id) if run.state is State.DONE and run.mode is Mode.BULK else None
    if text is None:
        return None
    try:
        return decode_bulk(text)
    except BadDocument as bad:
        raise _damaged(run, bad) from None


def _damaged(run: Run, bad: BadDocument) -> RunDamaged:
    log.error("run %s: the result cannot be read: %s", run.id, bad)
    return RunDamaged(f"The result of run {run.id} is damaged: submit the run again.")
