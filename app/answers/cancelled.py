"""Says how many runs a cancellation of several runs ended. Pure."""

from __future__ import annotations

from app.formatting import runs_of
from ledger.runs.cancelling import CancelCount


def cancelled(count: CancelCount) -> str:
    """Return the sentence for the command line and the page."""
    if not count.cancelled and not count.cancelling:
        return "no waiting or running run matches"
    ended = f"{runs_of(count.cancelled)} {'has' if count.cancelled == 1 else 'have'} been cancelled"
    if not count.cancelling:
        return ended
    asked = f"{runs_of(count.cancelling, 'running run')} will be stopped within a second"
    return f"{ended}; {asked}" if count.cancelled else asked
