"""The bench's last report as its readers get it."""

from __future__ import annotations

from ledger.bench.processes import Processes
from netlab.service.status import BenchReport


def reported(ledger: Processes) -> BenchReport:
    """Return the report that the worker pool has stored."""
    return BenchReport.read(ledger.bench_status())
