"""Keeps a loop running after unexpected errors: the error is logged, and the loop starts again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

PAUSE_S = 0.5

log = logging.getLogger(__name__)


def restart_on_error(loop: Callable[[], None], closing: threading.Event) -> Callable[[], None]:
    """Return a function that runs `loop`, and again after each exception, until `closing` is set.

    `loop` itself must return when `closing` is set.
    """

    def forever() -> None:
        while not closing.is_set():
            try:
                loop()
            except Exception:
                log.exception("%s restarts", threading.current_thread().name)
                closing.wait(PAUSE_S)

    return forever
