"""Waits for the stop signals of a dispatcher: SIGTERM and SIGINT, blocked and received synchronously.

A signal handler that sets a threading.Event can deadlock: it runs in the main thread, and when it interrupts that
thread's own `Event.wait`, the lock it needs may be held there.
"""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Blocks the signals in this process; set once one of them has arrived."""

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._came = False

    def is_set(self) -> bool:
        """Whether a signal has arrived."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Wait for a signal, at most `seconds`; returns whether one has arrived."""
        self._came = self._came or signal.sigtimedwait(SIGNALS, seconds) is not None
        return self._came
