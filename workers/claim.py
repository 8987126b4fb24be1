"""Claims a queue for each worker process. One script claims the name and announces the worker.

So two processes can never hold the same name, no matter when they start. If a process was silent for too long and
another process has claimed its name, the process ends, and its successor claims the next free name.
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import QueueTaken, StoreUnavailable
from ledger.runs.run import Mode
from ledger.store import WorkerLedger

RETRY_S = 0.2

log = logging.getLogger("reachq.workers")


@dataclass(frozen=True)
class Claim:
    """The queue of this process, and the worker's name, which no other worker ever has."""

    queue: str
    worker: str


def claim(ledger: WorkerLedger, mode: Mode, number: int) -> Claim:
    """Announce this process as the worker of `<bench>-<mode>-<number>`, or of the first free number if that is taken.

    Waits while Redis is unreachable.
    """
    waiting = False
    while True:
        try:
            return _first_free(ledger, mode, number)
        except StoreUnavailable as down:
            if not waiting and number == 1:  # one line for the pool, not one for each worker
                log.warning("%s The workers wait for it.", down)
            waiting = True
            time.sleep(RETRY_S)


def _first_free(ledger: WorkerLedger, mode: Mode, number: int) -> Claim:
    unique = f"{secrets.token_hex(3)}.{os.getpid()}"  # processes on two hosts may have the same pid
    for candidate in _numbers(number):
        queue = f"{ledger.bench}-{mode}-{candidate}"
        worker = f"{queue}.{unique}"
        try:
            _announce(ledger, worker, queue, mode)
        except QueueTaken as taken:
            log.debug("%s", taken)
        else:
            return Claim(queue, worker)
    raise AssertionError("the numbers do not end")


def _announce(ledger: WorkerLedger, worker: str, queue: str, mode: Mode) -> None:
    """Claim one queue. Raises QueueTaken if its worker is alive.

    A worker on this host counts as dead if its process has ended, even if its heartbeat is recent.
    """
    try:
        ledger.announce(worker, queue, mode, os.getpid())
    except QueueTaken as taken:
        if taken.host != socket.gethostname() or _runs(taken.pid):
            raise
        ledger.announce(worker, queue, mode, os.getpid(), dead=taken.holder)


def _numbers(first: int) -> Iterator[int]:
    """Yield `first`, then all other numbers from 1 on."""
    yield first
    yield from (number for number in itertools.count(1) if number != first)


def _runs(pid: int) -> bool:
    """Return whether a process of this host is running. A zombie is not (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
