"""What the benchmarks run in place of a test: it says when it began and ended, on the monotonic clock."""

from __future__ import annotations

import time
from typing import Any

from ledger.runs.run import Run
from workers.attempt import AttemptContext


def held(seconds: float) -> list[float]:
    """Hold for so long; [began, ended]. RQ calls it by name."""
    began = time.monotonic()
    if seconds:
        time.sleep(seconds)
    return [began, time.monotonic()]


def test(run: Run, hold: AttemptContext) -> dict[str, Any]:
    """The same as a run's test: `source_port` is how many tenths of a millisecond it holds."""
    return {"run_id": run.id, "verdict": "YES", "times": held((run.source_port or 0) / 10_000)}
