"""How long a test may wait: bounds in seconds of an idle machine, stretched by what this machine has to do now."""

from __future__ import annotations

import os
import time

LOOP = 60_000
IDLE_S = 0.0022
"""What LOOP turns take on an idle core of a machine of 2020."""
LONGEST = 30.0
FRESH_S = 0.5
"""A measure is used again for so long."""
_measured, _slowness = float("-inf"), 1.0


def slowness() -> float:
    """How many times longer work takes now than on an idle machine; 1 to LONGEST.

    The larger of two measures: the processes that want a CPU for each there is (the load of the last minute and those
    that are runnable at this moment), and a short calculation against the clock, which also sees a slow or throttled CPU.
    """
    global _measured, _slowness
    if time.monotonic() - _measured < FRESH_S:
        return _slowness
    cores = len(os.sched_getaffinity(0))
    runnable = int(_first_line("/proc/loadavg").split()[3].partition("/")[0])
    wanted = max(os.getloadavg()[0], runnable) / cores
    began = time.perf_counter()
    for _ in range(LOOP):
        pass
    _slowness = min(LONGEST, max(1.0, wanted, (time.perf_counter() - began) / IDLE_S))
    _measured = time.monotonic()
    return _slowness


def patience(seconds: float) -> float:
    """A bound that holds on an idle machine, for this one as it is now."""
    return seconds * slowness()


def _first_line(path: str) -> str:
    with open(path) as file:
        return file.readline()
