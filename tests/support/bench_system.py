"""Dispatcher, real workers and a real bench as processes, for tests that kill or stop one of them."""

from __future__ import annotations

import os
import subprocess
from itertools import count

from ledger.runs.run import Run, State
from ledger.store import Ledger
from netlab.service.client import BenchClient, BenchError
from tests.conftest import missing
from tests.support.parts import ROOT, Parts
from tests.support.runs import a_request
from tests.support.waiting import wait_until

CAMPUS = ROOT / "networks" / "campus"
_numbers = count(1)


class System:
    """Dispatcher and real workers, and a bench to start, kill and stop."""

    def __init__(self, parts: Parts, ledger: Ledger, **dispatcher: object) -> None:
        self.parts, self.ledger = parts, ledger
        self._address = f"@reachq-chaos-{os.getpid()}-{next(_numbers)}"
        self._client = BenchClient(self._address, 5)
        parts.dispatcher(**dispatcher)

    def workers(self, quick: int = 4, detailed: int = 0, **settings: object) -> None:
        """Start the pool and wait for its workers."""
        self.parts.start("workers", quick=quick, detailed=detailed, bench_socket=self._address, **settings)
        wait_until(lambda: self.parts.alive() == quick + detailed, 10, "the workers are there")

    def bench(self) -> subprocess.Popen[str]:
        """Start the bench and wait until it answers."""
        process = self.parts.start("netlab", "--network", str(CAMPUS), "--socket", self._address)
        wait_until(lambda: self._answers() or process.poll() is not None, 15, "the bench answers")
        if process.poll() is not None:
            missing("no bench can be built on this machine")
        return process

    def _answers(self) -> bool:
        try:
            return bool(self._client.status())
        except BenchError:
            return False

    def submit(self, count: int = 1, **more: object) -> list[Run]:
        """Runs from a client at headquarters to a server in the data centre."""
        return [self.ledger.submit(a_request(**more))[0] for _ in range(count)]  # type: ignore[arg-type]

    def ended(self, runs: list[Run], state: State = State.DONE) -> bool:
        """Whether all have ended in this state."""
        return all(self.ledger.run(run.id).state is state for run in reversed(runs))
