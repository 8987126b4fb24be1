"""Removes a comparison."""

from __future__ import annotations

from contextlib import suppress

from ledger.changes.records import Change
from ledger.errors import RunDamaged, RunEnded, RunNotFound
from ledger.store import AppLedger


def remove_comparison(ledger: AppLedger, change: Change, *, by: str) -> None:
    """Cancel the unfinished runs of a comparison, and forget it. Raises ChangeNotFound."""
    for run_id in change.runs:
        with suppress(RunNotFound, RunEnded, RunDamaged):
            ledger.cancel(run_id, by=by)
    ledger.remove_change(change.id, by=by)
