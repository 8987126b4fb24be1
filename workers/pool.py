"""The pool: starts the workers and the reporters, restarts those that die, and stops all of them when it ends.

It has one thread, and no open connection when it forks.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workers import children

STOP_S = 3.0
"""Time after which children that have not ended are killed. A worker gives its run back after 1 s."""
STEADY_S = 5.0
"""A child that ran for at least this long is restarted at once.

One that ended sooner is restarted after a pause, which grows each time.
"""
PAUSE_MIN_S, PAUSE_MAX_S = 0.1, 5.0
LOOK_S = 2.0
"""Interval between two looks at which children are wanted."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

log = logging.getLogger("reachq.workers")


@dataclass
class Child:
    """One role in the pool and its current process. Times are on the monotonic clock.

    `kill_at` is set when the role is not wanted any more: its process is asked to end, and killed then.
    """

    name: str
    main: Callable[[], None]
    pid: int = 0
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0
    kill_at: float = 0.0


class Pool:
    """Keeps children running until it is asked to stop. `roles` gives the wanted ones: name -> what the child runs."""

    def __init__(self, roles: Callable[[], Mapping[str, Callable[[], None]]]) -> None:
        self._roles = roles
        self._look_at = 0.0
        self._children: list[Child] = []

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, and return when every child has ended."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        children.freeze()
        try:
            while True:
                self._look()
                self._start_due()
                received = signal.sigtimedwait(SIGNALS, self._until_next_step())
                # A pause (SIGSTOP) beyond the time limit makes Python 3.11 return what was in memory before.
                if received is not None and received.si_signo in (signal.SIGTERM, signal.SIGINT):
                    return
                self._collect()
        finally:
            self._stop_all()
            while signal.sigtimedwait(SIGNALS, 0):
                pass  # ignore a second Ctrl-C: the stop is under way
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _look(self) -> None:
        """Add the roles that are wanted now, and end those that are not wanted any more."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            roles = self._roles()
            known = {child.name for child in self._children}
            self._children += [Child(name, main) for name, main in roles.items() if name not in known]
            for child in [child for child in self._children if child.name not in roles and not child.kill_at]:
                child.kill_at = now + STOP_S
                if child.pid:
                    os.kill(child.pid, signal.SIGTERM)
        for child in [child for child in self._children if child.kill_at]:
            if not child.pid:
                self._children.remove(child)
            elif now >= child.kill_at:
                os.kill(child.pid, signal.SIGKILL)

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if not child.pid and child.due <= now and not child.kill_at:
                child.pid = children.fork(child.name, child.main)
                child.started = now

    def _until_next_step(self) -> float:
        steps = [self._look_at, *(child.due for child in self._children if not child.pid)]
        steps += [child.kill_at for child in self._children if child.kill_at]
        return max(0.0, min(steps) - time.monotonic())

    def _collect(self) -> None:
        """Collect all ended children and schedule their restart.

        Signals coalesce, so one signal may mean several children.
        """
        for pid, status in _ended():
            child = next((child for child in self._children if child.pid == pid), None)
            if child is None:
                continue
            if child.kill_at:
                child.pid = 0
                continue
            now = time.monotonic()
            steady = now - child.started >= STEADY_S
            child.pause = PAUSE_MIN_S if steady else min(PAUSE_MAX_S, max(PAUSE_MIN_S, child.pause * 2))
            child.pid, child.due = 0, now if steady else now + child.pause
            log.warning("%s ended (%s); starting it again", child.name, _how(status))

    def _stop_all(self) -> None:
        """Send SIGTERM, wait for STOP_S, then send SIGKILL."""
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while self._living() and (left := deadline - time.monotonic()) > 0:
            signal.sigtimedwait((signal.SIGCHLD,), left)
            self._forget_ended()
        self._signal_all(signal.SIGKILL)
        for child in self._living():
            os.waitpid(child.pid, 0)

    def _living(self) -> list[Child]:
        return [child for child in self._children if child.pid]

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._living():
            os.kill(child.pid, number)

    def _forget_ended(self) -> None:
        gone = {pid for pid, _ in _ended()}
        for child in self._children:
            if child.pid in gone:
                child.pid = 0


def _ended() -> list[tuple[int, int]]:
    """Return (pid, wait status) of every child that has ended since the last call."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended.append((pid, status))


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"killed: {signal.strsignal(-code)}" if code < 0 else f"exit code {code}"
