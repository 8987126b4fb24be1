"""How long a test may wait: limits in seconds of an idle machine, extended by this machine's current load."""

from __future__ import annotations

import os
import time

LOOP = 60_000
IDLE_S = 0.0022
"""Duration of LOOP turns on an idle core of a machine of 2020."""
LONGEST = 30.0
FRESH_S = 0.5
"""A measurement is reused for this long."""
_measured, _slowness = float("-inf"), 1.0


def slowness() -> float:
    """How many times longer work takes now than on an idle machine; 1 to LONGEST.

    The larger of two measurements: the processes that need a CPU per available CPU (the load of the last minute and
    those that are runnable at this moment), and a short calculation against the clock, which also detects a slow or
    throttled CPU.
    """
    global _measured, _slowness
    if time.monotonic() - _measured < FRESH_S:
        return _slowness
    cores = len(os.sched_getaffinity(0))
    runnable = int(_first_line("/proc/loadavg").split()[3].partition("/")[0])
    load = max(os.getloadavg()[0], runnable) / cores
    began = time.perf_counter()
    for _ in range(LOOP):
        pass
    _slowness = min(LONGEST, max(1.0, load, (time.perf_counter() - began) / IDLE_S))
    _measured = time.monotonic()
    return _slowness


def patience(seconds: float) -> float:
    """A limit for an idle machine, extended for this one."""
    return seconds * slowness()


def _first_line(path: str) -> str:
    with open(path) as file:
        return file.readline()
