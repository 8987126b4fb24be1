"""The ledger for each kind of process: one object with only the operations that the process needs.

| class | used by |
|---|---|
| `AppLedger` | the web server and the command line |
| `DispatcherLedger` | a dispatcher |
| `WorkerLedger` | a worker, and the reporter of a pool |
| `Ledger` | tests and benchmarks, which act as every process |
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ledger.bench.control import BenchControl
from ledger.bench.hosts import Hosts
from ledger.bench.metrics_counts import MetricsCounts
from ledger.bench.survey import HealthReader
from ledger.events import EventStream
from ledger.networks.changing import NetworkChanges
from ledger.networks.listing import NetworkReading
from ledger.people.audit import AuditTrail
from ledger.people.sessions import Sessions
from ledger.people.tokens import Tokens
from ledger.people.users import Users
from ledger.redis.connection import Connection
from ledger.redis.inspection import ServerInspection
from ledger.redis.part import LedgerPart
from ledger.runs.cancelling import Cancelling
from ledger.runs.dispatching import Dispatching
from ledger.runs.reading import Reading
from ledger.runs.reaping import Reaping
from ledger.runs.repair import RecordRepair
from ledger.runs.searching import Searching
from ledger.runs.submitting import Submitting
from ledger.runs.working import Working
from ledger.settings import Settings
from ledger.snapshots.checking import SnapshotChecking
from ledger.snapshots.pushing import SnapshotPushing


class _Connected(LedgerPart):
    """A part of the ledger with its own connection.

    Synchronous and thread-safe, but must not be shared across a fork: connect again in the child. Any call may raise
    StoreUnavailable, StoreFull or StoreDamaged, and only errors of ledger.errors are raised.
    """

    @classmethod
    def connect(cls, settings: Settings, *, read_timeout_s: float = 5.0) -> Self:
        """Create a ledger with its own client, without sending a command yet.

        `read_timeout_s` limits the wait for each reply.
        """
        return cls(Connection(settings.redis_address, read_timeout_s=read_timeout_s), settings)

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AppLedger(
    _Connected,
    Submitting,
    Cancelling,
    Reading,
    Searching,
    Hosts,
    EventStream,
    MetricsCounts,
    HealthReader,
    AuditTrail,
    BenchControl,
    NetworkChanges,
    Users,
    Sessions,
    Tokens,
):
    """Submits and reads runs, watches the system, controls the bench, and manages snapshots and users."""


class DispatcherLedger(
    _Connected, Dispatching, Reaping, RecordRepair, Hosts, EventStream, HealthReader, NetworkReading
):
    """Operations of a dispatcher: lead, view, promote, reap and repair."""


class WorkerLedger(_Connected, Working, Reaping, ServerInspection, SnapshotChecking, SnapshotPushing, NetworkReading):
    """Operations of a host: begin, renew, finish and give back runs, check snapshots, and report the bench's status."""


class Ledger(AppLedger, DispatcherLedger, WorkerLedger):
    """Every operation."""
