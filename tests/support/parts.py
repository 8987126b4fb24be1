"""The processes of the queue as an operator starts them, for tests: dispatchers and a pool with a stand-in test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import psutil

from ledger.runs.run import Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.patience import patience
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


class Parts:
    """Starts parts against one Redis and ends them all on exit; use as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._ledger = Ledger.connect(settings)
        self._environment = {**os.environ, "REACHQ_REDIS_URL": settings.redis_url, "REACHQ_DATA": str(settings.data)}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, module: str, *arguments: str, **settings: object) -> subprocess.Popen[str]:
        """`python -m module`, with settings as REACHQ_*. A pool whose size is given has bulk workers only if asked."""
        if "quick" in settings:
            settings = {"bulk": 0, **settings}
        given = {f"REACHQ_{name.upper()}": str(value) for name, value in settings.items()}
        part = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=ROOT, env={**self._environment, **given}, text=True
        )
        self._started.append(part)
        return part

    def dispatcher(self, **settings: object) -> subprocess.Popen[str]:
        """A dispatcher, not waited for."""
        return self.start("compat_dispatcher", **settings)

    def pool(self, quick: int, detailed: int = 0, *, hold_ms: float = 50, **more: object) -> subprocess.Popen[str]:
        """A stand-in pool, with all its workers announced."""
        before = self.alive()
        options = ("--hold-ms", str(hold_ms))
        part = self.start("tests.support.stand_in_pool", *options, quick=quick, detailed=detailed, **more)
        wait_until(lambda: self.alive() >= before + quick + detailed, 15, f"{quick} + {detailed} workers are there")
        return part

    def alive(self) -> int:
        """Live workers."""
        return sum(bool(worker.alive) for worker in self._ledger.workers())

    def leader_pid(self) -> int:
        """Pid of the dispatcher that leads, 0 when none does."""
        leader = self._ledger.leader()
        return int(str(leader.dispatcher).split("-")[-2]) if leader else 0

    def worker_of(self, run: Run) -> psutil.Process:
        """The process of the worker that has begun `run`."""
        return psutil.Process(int(self._ledger.run(run.id).worker.rpartition(".")[2]))

    def in_state(self, run: Run, state: State, timeout_s: float = 10) -> Run:
        """Wait until `run` is in `state`; returns it as it is then."""
        wait_until(lambda: self._ledger.run(run.id).state is state, timeout_s, f"run {run.id} is {state}")
        return self._ledger.run(run.id)

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self._started:
            part.send_signal(signal.SIGCONT)
            part.terminate()
        for part in self._started:
            try:
                part.wait(timeout=patience(10))
            except subprocess.TimeoutExpired:
                part.kill()
                part.wait()
                raise
        self._ledger.close()
