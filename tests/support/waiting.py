"""Waits for a condition instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.support.patience import patience

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout_s: float, why: str) -> T:
    """Call `predicate` repeatedly until it is true, and return its value; AssertionError naming `why`.

    `timeout_s` is for an idle machine; a busy one gets more, see tests.support.patience.
    """
    began = time.monotonic()
    longest_s = timeout_s
    pause_s = 0.001
    while True:
        value = predicate()
        if value:
            return value
        waited_s = time.monotonic() - began
        if waited_s > longest_s and waited_s > (longest_s := max(longest_s, patience(timeout_s))):
            raise AssertionError(f"not within {longest_s:.1f} s: {why} (last: {value!r})")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.05)
