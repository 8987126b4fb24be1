"""Waits for the stop signals of a dispatcher, SIGTERM and SIGINT, which are blocked and received synchronously.

A signal handler that sets a threading.Event can deadlock. It runs in the main thread, and if it interrupts that
thread's own `Event.wait`, the main thread may already hold the lock that the handler needs.
"""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Blocks the signals in this process. It is set once one of them has arrived."""

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._came = False

    def is_set(self) -> bool:
        """Return whether a signal has arrived."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for a signal. Returns whether one has arrived."""
        if not self._came:
            received = signal.sigtimedwait(SIGNALS, seconds)
            # A pause (SIGSTOP) beyond the time limit makes Python 3.11 return what was in memory before.
            self._came = received is not None and received.si_signo in SIGNALS
        return self._came
