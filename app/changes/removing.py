"""Removes a comparison: its unfinished runs are cancelled, and the snapshot of a what-if is removed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from app.changes.what_if import discard_what_if
from ledger.changes.records import Change
from ledger.errors import ReachqError
from ledger.store import AppLedger


def remove_comparison(ledger: AppLedger, change: Change, *, by: str) -> None:
    """Cancel the unfinished runs of a comparison, forget it, and remove its what-if. Raises ChangeNotFound."""
    cancel_runs(ledger, change.runs, by=by)
    ledger.remove_change(change.id, by=by)
    discard_what_if(ledger, change.after, by=by)


def cancel_runs(ledger: AppLedger, run_ids: Iterable[str], *, by: str) -> None:
    """Cancel those of these runs that have not ended. A run that cannot be cancelled does not prevent the others."""
    for run_id in run_ids:
        with suppress(ReachqError):
            ledger.cancel(run_id, by=by)
