"""Waiting for something to become true, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout_s: float, why: str) -> T:
    """Ask `predicate` again and again until it is true, and return what it said; AssertionError naming `why`."""
    deadline = time.monotonic() + timeout_s
    pause_s = 0.001
    while True:
        said = predicate()
        if said:
            return said
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {why} (last: {said!r})")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.05)
