"""One attempt of a run in a worker process: what its test may use, and what can end the test early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from ledger.runs.bulk import BulkQuestion
from ledger.runs.run import Run


class StopReason(StrEnum):
    """Why a test is aborted. The text is stored in the run's record, unless the record already shows the reason."""

    LOST = "the lease went to another attempt"
    CUT_OFF = "the worker could not renew its lease"
    CANCELLED = "cancelled by the user"
    STOPPING = "the worker was stopped"
    TIMEOUT = "the test took too long"


Note = Callable[[str, int, str], None]
"""Progress callback that is called with phase, percent and message."""


def ignore_progress(phase: str, percent: int, message: str) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class BulkWork:
    """What a bulk run needs beside its record: its questions, and how to keep the bench of its snapshot open."""

    questions: tuple[BulkQuestion, ...]
    ask_snapshot: Callable[[], None]


class AttemptContext:
    """One attempt in this process.

    Thread-safe: the heartbeat thread may abort it while the main thread runs the test.
    """

    def __init__(self, run: Run, timeout_s: float) -> None:
        self.run = run
        self.note: Note = ignore_progress
        self.bulk = BulkWork((), lambda: None)
        self.begun = self.renewed = time.monotonic()
        self.timeout_s = timeout_s
        self.ends = self.begun + timeout_s
        self._lock = threading.Lock()
        self._aborted = threading.Event()
        self._why: StopReason | None = None
        self._close: Callable[[], None] | None = None

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the test must end now, or None while it may continue."""
        return self._why

    def abort(self, why: StopReason) -> None:
        """Abort the test by calling the `close` that was passed to `closing`.

        Later calls do nothing, so the first reason is kept.
        """
        with self._lock:
            if self._why is not None:
                return
            self._why = why
            close = self._close
        self._aborted.set()
        if close is not None:
            close()

    def extend(self) -> None:
        """Let the time limit begin again, because the test has made progress."""
        self.ends = time.monotonic() + self.timeout_s

    def wait(self, seconds: float) -> bool:
        """Wait inside the test. Returns True as soon as the test has been aborted."""
        return self._aborted.wait(seconds)

    @contextmanager
    def closing(self, close: Callable[[], None]) -> Iterator[None]:
        """Let `abort` call `close` from another thread while this context is active. `close` must unblock the test."""
        with self._lock:
            self._close = close
            already = self._why is not None
        if already:
            close()
        try:
            yield
        finally:
            with self._lock:
                self._close = None
