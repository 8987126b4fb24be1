"""The connection to Redis: how commands are sent, which are retried, and which errors are raised.

The client never retries a command, because after a lost reply a second INCR or BLMOVE would count twice. The caller
retries what is safe to repeat. Every script is safe to repeat, because it checks an id or token. A stale pooled
connection is detected before it is used, so the first call after a server restart does not fail.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import redis
from redis.client import Pipeline
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.sentinel import MasterNotFoundError

from ledger.errors import StoreDamaged, StoreFull, StoreRefused, StoreUnavailable
from ledger.redis.address import open_client
from ledger.redis.scripts import Script

_DOWN = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError)
_DENIED_IN_A_SCRIPT = ("ACL failure in script", "The user executing the script")
"""Beginning of the error message of Valkey and Redis 7 when a command inside a script is denied."""
_NO_HANDSHAKE = (
    "Redis does not answer the TLS handshake: it hangs, or the port in REACHQ_REDIS_URL is not its TLS port"
    " (write redis:// for a connection without TLS)."
)
_WHO = (
    "Redis refuses the user name or the password: correct REACHQ_REDIS_URL (redis://USER:PASSWORD@HOST:PORT)"
    " or the file of REACHQ_REDIS_PASSWORD_FILE."
)
_NO_SENTINEL = (
    "A server in REACHQ_REDIS_URL is not a Sentinel: write the addresses of the Sentinels (usually port 26379),"
    " or redis://host:port for one server without Sentinels."
)
_SENTINEL_PASSWORD = " Name the file with the password of the Sentinels: ?sentinel_password_file=FILE."
_DAMAGED = ("WRONGTYPE", "not an integer", "not a valid float", "NaN", "would overflow")
"""Parts of Redis's error messages about a key or field with an unexpected type or value."""
_LUA = re.compile(r"(ERR )?user_script:\d+: ")
"""Beginning of an error in a script's own code: the script found a value that it could not calculate with."""


@contextmanager
def translated() -> Iterator[None]:
    """Translate the client's errors to StoreUnavailable, StoreFull or StoreDamaged.

    No other errors about Redis leave the package `ledger`.
    """
    try:
        yield
    except OutOfMemoryError as full:
        raise StoreFull from full
    except AuthenticationError as refused:
        raise StoreRefused(_WHO) from refused
    except NoPermissionError as refused:
        raise StoreRefused(_not_permitted(refused)) from refused
    except ReadOnlyError as replica:
        raise StoreUnavailable("Redis is a read-only replica: set REACHQ_REDIS_URL to its primary.") from replica
    except MasterNotFoundError as none:
        hint = _SENTINEL_PASSWORD if "AuthenticationError" in str(none) else ""
        raise StoreUnavailable(f"The Sentinels in REACHQ_REDIS_URL name no primary that works: {none}.{hint}") from none
    except _DOWN as down:
        if secured := _tls_trouble(down):
            raise StoreRefused(secured) from down
        if "handshake operation timed out" in str(down.__context__):
            raise StoreUnavailable(_NO_HANDSHAKE) from down
        raise StoreUnavailable(f"Redis cannot be reached: {down}") from down
    except ResponseError as refused:
        text = str(refused)
        if any(words in text for words in _DENIED_IN_A_SCRIPT):
            raise StoreRefused(_not_permitted(refused)) from refused
        if _LUA.match(text) or any(words in text for words in _DAMAGED):
            raise StoreDamaged(f"A key of reachq holds something that cannot be used: {text}") from refused
        if "'SENTINEL'" in text:
            raise StoreUnavailable(_NO_SENTINEL) from refused
        if "OOM" in text:
            raise StoreFull from refused
        raise StoreUnavailable(f"Redis refuses: {text}") from refused
    except RedisError as other:
        raise StoreUnavailable(f"Redis: {other}") from other


def _not_permitted(refused: Exception) -> str:
    """Return the sentence for a command or key that the ACL of Redis denies."""
    return (
        f"Redis does not permit this to the user of REACHQ_REDIS_URL ({refused}):"
        " print the rules again with the `reachq redis acl` of this version, with --network for each network,"
        " and give that user those of its role."
    )


def _tls_trouble(down: BaseException) -> str:
    """Return the sentence for a failed TLS connection, or "" if TLS is not the cause."""
    cause: BaseException | None = down
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return ""
    text = str(cause)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"The TLS certificate of Redis is not accepted ({cause.verify_message}): in REACHQ_REDIS_URL,"
            " give the CA's certificate as ?ssl_ca_certs=FILE, and a host name that the certificate covers."
        )
    if "certificate" in text.lower().replace("_", " ") or "UNKNOWN_CA" in text:
        return (
            "Redis requires a client certificate signed by its CA: give it with"
            " ssl_certfile=FILE and ssl_keyfile=FILE in REACHQ_REDIS_URL."
        )
    return f"No TLS connection to Redis ({text}): use its TLS port in REACHQ_REDIS_URL, or write redis:// without TLS."


class Connection:
    """A pool of connections to one Redis server. Thread-safe, but must not be shared across a fork."""

    def __init__(self, url: str, *, read_timeout_s: float = 5.0) -> None:
        self.read_timeout_s = read_timeout_s
        self._url = url
        self.client: redis.Redis = open_client(url, timeout_s=read_timeout_s, text=True)

    def close(self) -> None:
        """Close all sockets."""
        self.client.close()
        if "_raw" in self.__dict__:
            self._raw.close()

    def run(
        self,
        script: Script,
        keys: Mapping[str, str],
        args: Mapping[str, object],
        more: tuple[object, ...] = (),
    ) -> list[Any]:
        """Run a script and return its reply, with the status first.

        Loads the script if the server does not know it yet.
        """
        words: list[Any] = script.order(keys, args, more)
        with translated():
            try:
                reply: Any = self.client.evalsha(script.sha, len(keys), *words)
            except NoScriptError:
                reply = self.client.eval(script.source, len(keys), *words)
        return _checked(script, reply)

    def run_each(self, script: Script, calls: Sequence[tuple[Mapping[str, str], Mapping[str, object]]]) -> list[str]:
        """Run a script for each pair of keys and arguments, in two round trips, and return the statuses.

        The status is "" for a call that met a key of a wrong type. Raises the first other error.
        """
        if not calls:
            return []
        try:
            first = str(self.run(script, *calls[0])[0])  # loads the script if the server does not know it yet
        except StoreDamaged:
            first = ""
        orders: list[list[Any]] = [script.order(keys, args, ()) for keys, args in calls[1:]]
        with self.reading() as pipe:
            for words in orders:
                pipe.evalsha(script.sha, len(script.keys), *words)
            replies = answers(pipe)
        return [first, *("" if reply is None else str(_checked(script, reply)[0]) for reply in replies)]

    def run_after(
        self, waiting: Callable[[Pipeline], object], script: Script, keys: Mapping[str, str], args: Mapping[str, object]
    ) -> tuple[Any, list[Any] | None]:
        """Wait for the one command that `waiting` issues, and run a script as soon as it ends, in one round trip.

        Redis runs the script at the moment in which the command ends, before this process knows of it. Returns both
        replies. That of the script is None if the server does not know it; `run` loads it.
        """
        words: list[Any] = script.order(keys, args, ())
        with self.reading() as pipe:
            waiting(pipe)
            pipe.evalsha(script.sha, len(keys), *words)
            first, reply = pipe.execute(raise_on_error=False)
            for refused in (first, reply):
                if isinstance(refused, Exception) and not isinstance(refused, NoScriptError):
                    raise refused
        return first, None if isinstance(reply, NoScriptError) else _checked(script, reply)

    @contextmanager
    def reading(self, *, raw: bool = False) -> Iterator[Pipeline]:
        """Open a pipeline for related reads: one round trip, no transaction. With `raw`, replies are bytes."""
        with translated(), (self._raw if raw else self.client).pipeline(transaction=False) as pipe:
            yield pipe

    @cached_property
    def _raw(self) -> redis.Redis:
        return open_client(self._url, timeout_s=self.read_timeout_s, text=False)

    def lenient(self, ask: Callable[[Pipeline], object]) -> Any:
        """Return the reply to the one read command that `ask` issues, or None if its key has a wrong type."""
        with self.reading() as pipe:
            ask(pipe)
            return answers(pipe)[0]


def _checked(script: Script, reply: Any) -> list[Any]:
    if reply[0] not in script.statuses:
        raise StoreDamaged(f"{script.verb}.lua answered {reply[0]!r}, which it never should")
    return list(reply)


def answers(pipe: Pipeline) -> list[Any]:
    """Return the replies of a read pipeline, with None for each command whose key has a wrong type."""
    replies = pipe.execute(raise_on_error=False)
    for at, reply in enumerate(replies):
        if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
            replies[at] = None
        elif isinstance(reply, Exception):
            raise reply
    return replies
