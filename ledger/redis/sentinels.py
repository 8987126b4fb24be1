"""What redis-py's client for Sentinel lacks: lookups from several threads, and leaving a primary that was replaced.

Redis Sentinel watches a primary and its replicas, and promotes a replica when the primary fails. redis-py asks the
Sentinels for the primary before each new connection, closes the idle connections of a pool when the primary is another
one, and closes a connection whose server answers READONLY.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.connection import SSLConnection
from redis.exceptions import ResponseError
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool, SentinelManagedConnection

_CLIENT = re.compile(r"<redis\.client\.Redis\(.*?\bhost=([^,]*),port=(\d+).*?\)>\)>\)> - ")
"""How redis-py names a Sentinel in an error: with every option of its connection."""


class Sentinels(Sentinel):
    """The Sentinels, the one that answered last first."""

    def discover_master(self, service_name: str) -> Any:
        """Return the host and port of the primary. Raises MasterNotFoundError if no Sentinel knows one that works.

        redis-py swaps two entries of its list after each lookup. Two threads that do so at the same time can lose an
        entry. Therefore each lookup uses its own copy.
        """
        mine = copy.copy(self)
        mine.sentinels = list(self.sentinels)
        try:
            found = super(Sentinels, mine).discover_master(service_name)  # type: ignore[no-untyped-call]
        except MasterNotFoundError as none:
            raise MasterNotFoundError(_CLIENT.sub(r"\1:\2: ", str(none))) from None
        self.sentinels = mine.sentinels
        return found


class PrimaryConnection(SentinelManagedConnection):
    """A connection to the primary."""

    def read_response(  # type: ignore[override] # its parameters are passed on
        self, *args: Any, disconnect_on_error: bool = True, **options: Any
    ) -> Any:
        """Read a reply, and close the connection if that fails, as redis-py does for connections without Sentinel.

        NOREPLICAS means that the server has too few replicas (`min-replicas-to-write`). It may have been replaced, so
        the next command asks the Sentinels.
        """
        try:
            return super().read_response(*args, disconnect_on_error=disconnect_on_error, **options)
        except ResponseError as refused:
            if str(refused).startswith("NOREPLICAS"):
                self.mark_for_reconnect()  # type: ignore[no-untyped-call]
            raise


class PrimaryTLSConnection(PrimaryConnection, SSLConnection):
    """The same over TLS."""


def open_primary(
    service: str,
    sentinels: Sequence[tuple[str, int]],
    of_sentinels: dict[str, Any],
    options: dict[str, Any],
    *,
    tls: bool,
) -> Redis:
    """Create a client for the primary of a service without connecting.

    The options are those of redis-py for the connections to the Sentinels and to the primary.
    """
    known = Sentinels(sentinels, sentinel_kwargs=of_sentinels | {"ssl": tls})  # type: ignore[no-untyped-call]
    kind = PrimaryTLSConnection if tls else PrimaryConnection
    return Redis.from_pool(
        SentinelConnectionPool(service, known, connection_class=kind, **options)  # type: ignore[no-untyped-call]
    )
