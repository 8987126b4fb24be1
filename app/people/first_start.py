"""The first start: with no user at all there is nobody to let the others in, so an admin is made, and told of once."""

from __future__ import annotations

import logging
import re
import threading

from app.people.accounts import FIRST_ADMIN, Accounts
from ledger.errors import ReachqError, StoreDamaged, StoreFull, StoreUnavailable
from ledger.settings import Settings
from ledger.store import AppLedger

RETRY_S = 0.5
TOLD = re.compile(r"first start: .* with the password (\S+);")
"""How the line that tells the password reads, for who passes it on."""
ANSWER_S = 1.0
"""Redis need not be there when the web server starts, and is not waited for then."""
log = logging.getLogger(__name__)


class FirstStart:
    """`look` before the server says that it is ready, `tell` after, `close` at the end."""

    def __init__(self, settings: Settings) -> None:
        self._ledger = AppLedger.connect(settings, read_timeout_s=ANSWER_S)
        self._accounts = Accounts(self._ledger)
        self._password: str | None = None
        self._known = False
        self._ending = threading.Event()

    def look(self) -> None:
        """Make the admin if there is no user yet and Redis answers; any number of web servers may do so at once."""
        try:
            self._password = self._accounts.ensure_admin()
            self._ledger.mark_store()
        except (StoreUnavailable, StoreFull, StoreDamaged):
            return
        except ReachqError as error:
            log.error("first start: %s", error)
        self._known = True

    def tell(self, url: str) -> None:
        """Print the password, this once; while Redis does not answer, look again in the background until it does."""
        if self._known:
            self._print(url)
        else:
            threading.Thread(target=self._go_on, args=(url,), name="first start", daemon=True).start()

    def close(self) -> None:
        """Stop looking."""
        self._ending.set()

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
