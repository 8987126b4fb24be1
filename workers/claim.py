"""Claims a queue for each worker process: one script claims the name and announces the worker.

Two processes can therefore never hold the same name, whenever they start. A process that loses its name (it was silent
for too long, and another process claimed it) ends, and its successor claims the next free name.
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
    """The queue of this process, and the worker's name, which is unique over time."""

    queue: str
    worker: str


def claim(ledger: WorkerLedger, mode: Mode, number: int) -> Claim:
    """Announce this process as the worker of `<bench>-<mode>-<number>`, or else of the first free number.

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
    """Claim one queue; QueueTaken when its worker is alive. An ended process of this host is not."""
    try:
        ledger.announce(worker, queue, mode, os.getpid())
    except QueueTaken as taken:
        if taken.host != socket.gethostname() or _runs(taken.pid):
            raise
        ledger.announce(worker, queue, mode, os.getpid(), dead=taken.holder)


def _numbers(first: int) -> Iterator[int]:
    """`first`, then all other numbers from 1 on."""
    yield first
    yield from (number for number in itertools.count(1) if number != first)


def _runs(pid: int) -> bool:
    """Whether a process of this host is running; a zombie is not (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
