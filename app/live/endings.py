"""Waits for the end of a run in a request that asks for it with `?wait=SECONDS`.

The reader of the event feed reports each end, and a request also reads the run again every LOOK_S, in case an event was
missed. Each waiting request takes a thread of the web server, so only WAITING_MAX may wait; further ones are answered at
once with the state of the run.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable

from ledger.runs.run import ENDED, Run

WAITING_MAX = 12
"""Number of requests that may wait at the same time: half of the threads of the web server."""
LOOK_S = 1.0


class Endings:
    """The requests that wait for the end of a run. Thread-safe."""

    def __init__(self) -> None:
        self._places = threading.Semaphore(WAITING_MAX)
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, set[threading.Event]] = defaultdict(set)
        self._closed = False

    def ended(self, run_id: str) -> None:
        """Wake the requests that wait for this run."""
        with self._lock:
            for event in self._waiting.get(run_id, ()):
                event.set()

    def close(self) -> None:
        """Answer all waiting requests now, and later ones at once."""
        with self._lock:
            self._closed = True
            for events in self._waiting.values():
                for event in events:
                    event.set()

    def wait(self, read: Callable[[], Run], run: Run, seconds: float) -> Run:
        """Wait up to `seconds` until the run has ended, and return it as `read` returns it then.

        Returns the given run at once if it has ended, or if too many requests wait.
        """
        if run.state in ENDED or seconds <= 0 or not self._places.acquire(blocking=False):
            return run
        event, until = threading.Event(), time.monotonic() + seconds
        try:
            with self._lock:
                self._waiting[run.id].add(event)
            while (run := read()).state not in ENDED and not self._closed and (left := until - time.monotonic()) > 0:
                event.wait(min(left, LOOK_S))
                event.clear()
            return run
        finally:
            with self._lock:
                self._waiting[run.id].discard(event)
                if not self._waiting[run.id]:
                    del self._waiting[run.id]
            self._places.release()
