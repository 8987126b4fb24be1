"""All errors that reachq raises on purpose, with one base class.

A message says what is wrong, where, and what to do. `code` never changes, because the `type` of problem+json, the
command line and tests rely on it.
"""

from __future__ import annotations


class ReachqError(Exception):
    """Base class of all deliberate errors. The docstring of a subclass is its default message."""

    code = "error"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class BadInput(ReachqError):
    """The request has an invalid field."""

    code = "bad-input"

    def __init__(self, field: str, value: object, remedy: str) -> None:
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{field}: {shown} {remedy}")
        self.field = field
        self.value = value
        self.remedy = remedy


class RunNotFound(ReachqError):
    """There is no run with this id."""

    code = "run-not-found"


class IdempotencyConflict(ReachqError):
    """This Idempotency-Key was already used for a different request; use a new key."""

    code = "idempotency-conflict"


class RunEnded(ReachqError):
    """The run has already ended; there is nothing left to cancel."""

    code = "run-ended"


class TooManyWaiting(ReachqError):
    """The user has as many waiting questions as allowed; submit again when some of the runs have started."""

    code = "too-many-waiting"
    retry_after_s = 10


class ChangeNotFound(ReachqError):
    """There is no comparison of snapshots with this id."""

    code = "change-not-found"


class SnapshotNotFound(ReachqError):
    """There is no snapshot with this facts hash."""

    code = "snapshot-not-found"


class SnapshotInUse(ReachqError):
    """The snapshot is current or pinned, so it is kept."""

    code = "snapshot-in-use"


class SnapshotNotReady(ReachqError):
    """The snapshot cannot be used: it has not been checked yet, or no bench can be built from it."""

    code = "snapshot-not-ready"


class SnapshotConflict(ReachqError):
    """The stored snapshot is not the one that was expected."""

    code = "snapshot-conflict"


class NetworkNotFound(ReachqError):
    """There is no network with this name."""

    code = "network-not-found"


class NetworkInUse(ReachqError):
    """The network has runs, or is the one of the settings, so it is kept."""

    code = "network-in-use"


class TooManyNetworks(ReachqError):
    """There are as many networks as allowed; remove one first."""

    code = "too-many-networks"


class StaleEpoch(ReachqError):
    """Another dispatcher leads now; this one must stop acting."""

    code = "stale-epoch"


class QueueTaken(ReachqError):
    """Another live worker serves this queue."""

    code = "queue-taken"

    def __init__(self, queue: str, holder: str, pid: int, host: str) -> None:
        super().__init__(f"Queue {queue} is served by worker {holder} (process {pid} on {host}).")
        self.queue = queue
        self.holder = holder
        self.pid = pid
        self.host = host


class StoreFull(ReachqError):
    """Redis has no memory left for new runs; running ones finish. Try again later, or raise maxmemory (REACHQ_MEMORY_MB)."""

    code = "store-full"


class StoreUnavailable(ReachqError):
    """Redis cannot be reached."""

    code = "store-unavailable"


class StoreRefused(StoreUnavailable):
    """Redis answers, but rejects this process because of its user, password, rights or TLS settings."""


class SettingsError(ReachqError):
    """A setting cannot be used."""

    code = "bad-setting"


class StoreDamaged(ReachqError):
    """A record or key of reachq in Redis is damaged; nothing was changed. See docs/operations.md."""

    code = "store-damaged"


class UnsuitableStore(ReachqError):
    """This Redis server cannot be used."""

    code = "unsuitable-store"

    def __init__(self, message: str = "", for_anyone: str = "") -> None:
        """`for_anyone` is the message without the names of processes and machines."""
        super().__init__(message)
        self.for_anyone = for_anyone or str(self)


class RunDamaged(StoreDamaged):
    """The record of this run is damaged and cannot be shown. See docs/operations.md."""

    code = "run-damaged"


class HostNotFound(ReachqError):
    """No host has this name."""

    code = "host-not-found"


class UserNotFound(ReachqError):
    """There is no user with this name."""

    code = "user-not-found"


class UserExists(ReachqError):
    """A user with this name already exists."""

    code = "user-exists"


class LastAdmin(ReachqError):
    """This is the last admin: make another user an admin first."""

    code = "last-admin"


class SessionNotFound(ReachqError):
    """There is no such session; it may have ended."""

    code = "session-not-found"


class TokenNotFound(ReachqError):
    """There is no such token."""

    code = "token-not-found"


class TooManyTokens(ReachqError):
    """The user has reached the maximum number of tokens: revoke one that is no longer used."""

    code = "too-many-tokens"
