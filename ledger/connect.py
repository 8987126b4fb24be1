"""The connection to Redis: how a command is sent, what is repeated, and which error comes out.

No command is ever repeated by the client: after a lost reply a second INCR or BLMOVE would count twice. What may
safely be asked again (every script is safe by id or token) its caller asks again. A stale pooled connection
is noticed before use, so a restarted server costs the next call nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError, ResponseError
from redis.retry import Retry

from ledger.errors import StoreDamaged, StoreFull, StoreUnavailable
from ledger.scripts import Script

_DOWN = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError)


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the client become StoreUnavailable, StoreFull or StoreDamaged; nothing else leaves ledger."""
    try:
        yield
    except OutOfMemoryError as full:
        raise StoreFull from full
    except _DOWN as down:
        raise StoreUnavailable(f"Redis cannot be reached: {down}") from down
    except ResponseError as refused:
        text = str(refused)
        if "WRONGTYPE" in text:
            raise StoreDamaged(f"A key of reachq holds something else: {text}") from refused
        if "OOM" in text:
            raise StoreFull from refused
        raise StoreUnavailable(f"Redis refuses: {text}") from refused
    except RedisError as other:
        raise StoreUnavailable(f"Redis: {other}") from other


class Connection:
    """A pool of connections to one Redis; safe to share between threads, not across fork."""

    def __init__(self, url: str, *, read_timeout_s: float = 5.0) -> None:
        self.read_timeout_s = read_timeout_s
        self.client: redis.Redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=read_timeout_s,
            socket_connect_timeout=read_timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    def close(self) -> None:
        """Give all sockets back."""
        self.client.close()

    def run(
        self,
        script: Script,
        keys: Mapping[str, str],
        args: Mapping[str, object],
        more: tuple[object, ...] = (),
    ) -> list[Any]:
        """Run a script, loading it where the server does not know it; its reply, status first."""
        words: list[Any] = script.order(keys, args, more)
        with translated():
            try:
                reply: Any = self.client.evalsha(script.sha, len(keys), *words)
            except NoScriptError:
                reply = self.client.eval(script.source, len(keys), *words)
        if reply[0] not in script.statuses:
            raise StoreDamaged(f"{script.verb}.lua answered {reply[0]!r}, which it never should")
        return list(reply)

    @contextmanager
    def reading(self) -> Iterator[Pipeline]:
        """A pipeline for reads that belong together; no transaction, one round trip."""
        with translated(), self.client.pipeline(transaction=False) as pipe:
            yield pipe
