"""The ledger as its users see it: one object, a role for each side."""

from __future__ import annotations

from types import TracebackType

from ledger.connect import Connection
from ledger.counting import Counting
from ledger.dispatching import Dispatching
from ledger.mending import Mending
from ledger.noting import Noting
from ledger.people_sessions import Sessions
from ledger.people_tokens import Tokens
from ledger.people_users import Users
from ledger.reading import Reading
from ledger.reaping import Reaping
from ledger.searching import Searching
from ledger.settings import Settings
from ledger.steering import Steering
from ledger.submitting import Submitting
from ledger.surveying import Surveying
from ledger.working import Working


class Ledger(
    Submitting,
    Dispatching,
    Reaping,
    Mending,
    Working,
    Reading,
    Searching,
    Counting,
    Surveying,
    Noting,
    Steering,
    Users,
    Sessions,
    Tokens,
):
    """The shared record, from one process: app side, dispatcher side, worker side, what all may read, operator, people.

    Synchronous; safe to share between threads, not across fork (connect again in the child). Raises only
    ledger.errors: StoreUnavailable, StoreFull and StoreDamaged from any call.
    """

    @classmethod
    def connect(cls, settings: Settings, *, read_timeout_s: float = 5.0) -> Ledger:
        """A ledger with a client of its own; no command is sent yet. `read_timeout_s` bounds each reply."""
        return cls(Connection(settings.redis_address, read_timeout_s=read_timeout_s), settings)

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
