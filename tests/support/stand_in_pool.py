"""The real worker pool with a stand-in for the test: holds each run for a while, then answers YES.

    python -m tests.support.stand_in_pool [--hold-ms 50]

Numbers of workers and everything else come from REACHQ_*. It serves detailed runs as well.
"""

from __future__ import annotations

import argparse
import logging
import time
from typing import Any

from ledger.runs.run import Mode, Run
from ledger.settings import load_settings
from netlab.results.document import Result
from tests.support.results import read
from workers.attempt import AttemptContext
from workers.host import main


class Dropped(Exception):
    """Raised by the stand-in to end early."""


class StandIn:
    """Callable as `workers.jobs.Test`; a service on port 1 breaks the test, one on port 2 takes a minute, and
    one on port 3 does not end when it is told to."""

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s

    def __call__(self, run: Run, attempt: AttemptContext) -> Result:
        ports = {service.port for service in run.services}
        if 1 in ports:
            raise ValueError("port 1 breaks the stand-in")
        if 3 in ports:
            time.sleep(600)
        if attempt.wait(60 if 2 in ports else self._hold_s):
            raise Dropped
        return read(answered(run))


def answered(run: Run) -> dict[str, Any]:
    """A result document with YES for everything and no router. The stand-in answers a bulk run like a quick one."""
    mode = "detailed" if run.mode is Mode.DETAILED else "quick"
    nothing: dict[str, Any] = {"result": "YES", "path": [], "blocked_by": [], "reason": None}
    services = [service.model_dump() | nothing for service in run.services]
    return {
        "run_id": run.id, "mode": mode, "verdict": "YES", "dscp": run.dscp, "source": run.source,
        "destination": run.destination, "source_port": run.source_port, "path": [], "routers": [], "services": services,
        "caveats": [], "reason": None, "facts": "", "timing_ms": {},
    }  # fmt: skip


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    options = argparse.ArgumentParser()
    options.add_argument("--hold-ms", type=float, default=50)
    main(load_settings(), StandIn(options.parse_args().hold_ms / 1000))
