"""Examines the Redis server periodically.

A replaced or full server is reported in the log. While the server is unsuitable, the web server answers with the reason.
"""

from __future__ import annotations

import logging
import threading

from ledger.errors import ReachqError, StoreUnavailable, UnsuitableStore
from ledger.settings import Settings
from ledger.store import AppLedger

PAUSE_S = 5.0
ANSWER_S = 1.0
"""Timeout in s for a reply of Redis. It is short because Redis may be unreachable when the web server starts."""
log = logging.getLogger(__name__)


class RedisWatch:
    """Examines the server. Call `look` before the web server starts, then `start`, and `close` at the end."""

    def __init__(self, settings: Settings) -> None:
        self._ledger = AppLedger.connect(settings, read_timeout_s=ANSWER_S)
        self._unsuitable = ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redis watch", daemon=True)

    def look(self) -> None:
        """Log what is wrong with the Redis server now. Raises UnsuitableStore for an unsuitable one."""
        try:
            self._ledger.vet(log.warning)
        except StoreUnavailable as error:
            log.warning("%s", error)

    def unsuitable(self) -> str:
        """Return why the server was unsuitable at the last look, with the remedy and no internal names; or ""."""
        return self._unsuitable

    def start(self) -> None:
        """Start a thread that examines the server every PAUSE_S."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and close the connection."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(2 * ANSWER_S)
        self._ledger.close()

    def _run(self) -> None:
        last_error = ""
        while not self._ending.wait(PAUSE_S):
            try:
                self._ledger.vet(log.warning)
                last_error = self._unsuitable = ""
            except StoreUnavailable:
                continue  # each request that needs Redis reports it
            except ReachqError as error:
                if str(error) != last_error:
                    log.error("%s", error)
                last_error = str(error)
                if isinstance(error, UnsuitableStore):
                    self._unsuitable = error.for_anyone
