"""A result document that cannot be shown is damage of that run, and no fault of the page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.errors import RunDamaged
from ledger.runs.run import Run

log = logging.getLogger(__name__)


@contextmanager
def readable(*runs: Run) -> Iterator[None]:
    """While inside, a result whose fields are missing or of a wrong type becomes RunDamaged; the log has the details."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as wrong:
        ids = ", ".join(run.id for run in runs)
        log.exception("run %s: the result cannot be shown", ids)
        raise RunDamaged(f"The result of run {ids} is damaged: submit the run again.") from wrong
