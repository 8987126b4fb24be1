"""The second thread of a worker: sends the heartbeat, and renews the lease of the current run.

The leader reaps a run if its lease was not renewed for `lease_ms`. A worker that cannot reach Redis aborts its test
well before that, after `CUT_OFF_MS`, so that no test continues in a lane that may already be leased to another run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ledger.errors import QueueTaken, ReachqError
from ledger.runs.run import Mode, Run
from ledger.settings import Settings
from ledger.store import WorkerLedger
from workers.attempt import AttemptContext, StopReason

ANNOUNCE_MS = 1000
CUT_OFF_MS = 1500
STOP_GRACE_S = 1.0
"""How long the current run may continue after the worker was asked to stop."""

log = logging.getLogger("reachq.workers")


class Heartbeat(threading.Thread):
    """Sends a heartbeat every `renew_ms` on its own connection, because the main thread may block on the other one."""

    def __init__(self, settings: Settings, name: str, queue: str, mode: Mode, pid: int) -> None:
        super().__init__(name=f"pulse {name}", daemon=True)
        self._settings = settings
        self._announcement = (name, queue, mode, pid)
        self._current: AttemptContext | None = None
        self._over = threading.Event()
        self.on_heartbeat: Callable[[], None] = lambda: None
        """Called at each heartbeat while a run is tested. It must not raise an error."""
        self.listens: Callable[[], bool] = lambda: False
        """Function that returns whether the main thread has recently received a reply from Redis."""
        self.on_taken: Callable[[], None] = lambda: None
        """Called once when another worker has claimed the queue. It must not raise an error."""
        self._stopping_since: float | None = None
        self._announced = time.monotonic()
        self._signed_off = False
        self._reachable = True
        # With this timeout, a renewal that hangs ends no later than the cut-off after the last successful one.
        self._ledger = WorkerLedger.connect(settings, read_timeout_s=max(0.2, (CUT_OFF_MS - settings.renew_ms) / 1000))

    @contextmanager
    def holding(self, run: Run) -> Iterator[AttemptContext]:
        """Renew the lease of `run` while this context is active."""
        attempt = AttemptContext(run, self._settings.run_timeout_s)
        self._current = attempt
        try:
            yield attempt
        finally:
            self._current = None

    def stopping(self) -> None:
        """Note that the worker was asked to stop, so that its run has STOP_GRACE_S to end. Safe in a signal handler."""
        self._stopping_since = time.monotonic()

    def close(self) -> None:
        """Stop the heartbeat and remove this worker from the registry."""
        self._over.set()
        self.join(timeout=2)
        try:
            self._sign_off()
        except ReachqError:
            log.info("%s: could not withdraw; its entry expires", self._announcement[0])
        self._ledger.close()

    def run(self) -> None:
        """Send heartbeats until closed."""
        while not self._over.wait(self._settings.renew_ms / 1000):
            attempt = self._current
            if attempt is not None:
                self._look_after(attempt)
                self.on_heartbeat()
            self._reach(attempt)

    def _reach(self, attempt: AttemptContext | None) -> None:
        """Renew the lease and announce the worker when these are due. An unreachable Redis is logged once."""
        try:
            if attempt is not None:
                self._renew(attempt)
            if self._stopping_since is not None:
                self._sign_off()  # before the current run is given back, or the worker would get it again
            elif time.monotonic() - self._announced >= ANNOUNCE_MS / 1000:
                self._announce()
        except ReachqError as away:
            if self._reachable:
                log.warning("%s: %s", self.name, away)
            self._reachable = False
            if attempt is not None and time.monotonic() - attempt.renewed >= CUT_OFF_MS / 1000:
                attempt.abort(StopReason.CUT_OFF)
        else:
            self._reachable = True

    def _announce(self) -> None:
        """Announce the worker.

        If another worker has claimed the queue, give the queue up, but continue the current run.
        """
        if self._signed_off:
            return
        try:
            self._ledger.announce(*self._announcement, listens=self.listens())
            self._announced = time.monotonic()
        except QueueTaken as taken:
            log.warning("%s gives up its queue: %s", self._announcement[0], taken)
            self._signed_off = True
            self.on_taken()

    def _sign_off(self) -> None:
        if not self._signed_off:
            self._ledger.withdraw(self._announcement[0])
            self._signed_off = True

    def _renew(self, attempt: AttemptContext) -> None:
        asked = time.monotonic()
        answer = self._ledger.renew(attempt.run.id, attempt.run.token)
        if self._current is not attempt:
            return  # the run ended during the request: its lease is gone as expected
        if not answer.alive:
            attempt.abort(StopReason.LOST)
        elif answer.cancelling:
            attempt.abort(StopReason.CANCELLED)
        else:
            attempt.renewed = asked

    def _look_after(self, attempt: AttemptContext) -> None:
        """Enforce the time limits of the test, with or without Redis."""
        now = time.monotonic()
        if now > attempt.ends:
            attempt.abort(StopReason.TIMEOUT)
        if self._stopping_since is not None and now - self._stopping_since > STOP_GRACE_S:
            attempt.abort(StopReason.STOPPING)
