"""The first start: when no user exists, add the user `admin` and print the password once.

If `reachq up` runs the web server, the password is also written to the pipe of `app.launch.first_password`.
"""

from __future__ import annotations

import logging
import os
import threading

from app.people.accounts import FIRST_ADMIN, Accounts
from ledger.errors import ReachqError, StoreDamaged, StoreFull, StoreUnavailable
from ledger.settings import Settings
from ledger.store import AppLedger

RETRY_S = 0.5
ANSWER_S = 1.0
"""Timeout in s for a reply of Redis. It is short because Redis may be unreachable when the web server starts."""
log = logging.getLogger(__name__)


class FirstStart:
    """The first start of the web server.

    Call `look` before it reports that it is ready, then `announce`, then `close`.
    """

    def __init__(self, settings: Settings) -> None:
        self._ledger = AppLedger.connect(settings, read_timeout_s=ANSWER_S)
        self._accounts = Accounts(self._ledger)
        self._descriptor = settings.first_password_fd
        self._password: str | None = None
        self._known = False
        self._ending = threading.Event()

    def look(self) -> None:
        """Add the admin if Redis answers and no user exists. Several web servers may do this at once."""
        try:
            if made := self._accounts.ensure_admin():
                self._password = made
                self._hand_over(made)
            self._ledger.mark_store()
        except (StoreUnavailable, StoreFull, StoreDamaged):
            return
        except ReachqError as error:
            log.error("first start: %s", error)
        self._known = True

    def announce(self, url: str) -> None:
        """Print the password once. While Redis does not answer, keep trying in the background."""
        if self._known:
            self._print(url)
        else:
            threading.Thread(target=self._go_on, args=(url,), name="first start", daemon=True).start()

    def close(self) -> None:
        """Stop trying in the background."""
        self._ending.set()

    def _hand_over(self, password: str) -> None:
        """Write the password to the descriptor of the settings, if there is one."""
        if self._descriptor < 0:
            return
        try:
            os.write(self._descriptor, password.encode())
        except OSError as error:
            log.warning("the password was not written to REACHQ_FIRST_PASSWORD_FD: %s", error.strerror)

    def _go_on(self, url: str) -> None:
        while not self._known and not self._ending.wait(RETRY_S):
            self.look()
        self._print(url)

    def _print(self, url: str) -> None:
        if self._password is not None:
            print(
                f"first start: sign in at {url} as {FIRST_ADMIN} with the password {self._password};"
                f" it is not shown again (a new one: reachq user password {FIRST_ADMIN})",
                flush=True,
            )
            self._password = None
        self._ledger.close()
