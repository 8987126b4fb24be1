"""The ledger as its users see it: one object, a role for each side."""

from __future__ import annotations

from types import TracebackType

from ledger.bench.control import Steering
from ledger.bench.metrics_counts import Counting
from ledger.bench.survey import Surveying
from ledger.people.audit import Noting
from ledger.people.sessions import Sessions
from ledger.people.tokens import Tokens
from ledger.people.users import Users
from ledger.redis.connection import Connection
from ledger.runs.dispatching import Dispatching
from ledger.runs.reading import Reading
from ledger.runs.reaping import Reaping
from ledger.runs.repair import Mending
from ledger.runs.searching import Searching
from ledger.runs.submitting import Submitting
from ledger.runs.working import Working
from ledger.settings import Settings


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
