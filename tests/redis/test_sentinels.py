"""Connections to the primary that Sentinels name: each leaves a server that is no longer the primary."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest
import redis
from redis.exceptions import ResponseError
from redis.sentinel import SentinelConnectionPool

from ledger.errors import StoreUnavailable
from ledger.redis.connection import Connection
from ledger.redis.scripts import PROBE
from ledger.redis.sentinels import PrimaryConnection, Sentinels
from tests.support.sentinels import SERVICE, free_port
from tests.support.server import Server

Start = Callable[..., Server]


class Named:
    """In place of the Sentinels: names the primary that the test chooses."""

    def __init__(self, port: int) -> None:
        self.port = port

    def discover_master(self, _service: str) -> tuple[str, int]:
        """The address of the primary."""
        return "127.0.0.1", self.port


@pytest.fixture
def two(start_server: Start) -> Iterator[tuple[redis.Redis, Named, int]]:
    """A client of the first of two servers, what names its primary, and the port of the second server.

    The first writes only with a replica.
    """
    ports = free_port(), free_port()
    start_server("--port", str(ports[0]), "--bind", "127.0.0.1", "--min-replicas-to-write", "1", aof=False)
    start_server("--port", str(ports[1]), "--bind", "127.0.0.1", aof=False)
    named = Named(ports[0])
    pool = SentinelConnectionPool(
        SERVICE, named, connection_class=PrimaryConnection, socket_timeout=5, decode_responses=True, protocol=2
    )
    with redis.Redis.from_pool(pool) as client:
        yield client, named, ports[1]


def test_a_server_without_enough_replicas_is_left(two: tuple[redis.Redis, Named, int]) -> None:
    client, named, other = two
    with pytest.raises(ResponseError, match="NOREPLICAS"):
        client.set("a", 1)
    with pytest.raises(ResponseError, match="NOREPLICAS"):
        client.set("a", 1)
    named.port = other
    pipe = client.pipeline(transaction=False)
    pipe.set("a", 1)
    pipe.set("b", 1)
    with pytest.raises(ResponseError, match="NOREPLICAS"):
        pipe.execute()
    assert client.set("a", 1)
    assert client.info("server")["tcp_port"] == other


@pytest.mark.parametrize("script", [False, True], ids=["a command", "a script"])
def test_a_server_that_has_become_a_replica_is_left(two: tuple[redis.Redis, Named, int], script: bool) -> None:
    client, named, other = two

    def write() -> object:
        return client.eval(PROBE.source, 0) if script else client.set("a", 1)

    client.config_set("min-replicas-to-write", 0)
    write()
    client.replicaof("127.0.0.1", str(other))
    named.port = other
    with pytest.raises(redis.ConnectionError):
        write()
    assert write()
    assert client.info("server")["tcp_port"] == other


class Interrupted(BaseException):
    """Raised by a signal handler, as RQ's worker does when it is stopped."""


def test_an_interrupted_wait_leaves_no_reply_for_the_next_command(two: tuple[redis.Redis, Named, int]) -> None:
    client, _, _ = two
    client.config_set("min-replicas-to-write", 0)

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(Interrupted):
            client.blmove("from", "to", 1)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert client.echo("mine") == "mine"


class Slow:
    """A Sentinel that answers when two threads have asked it."""

    def __init__(self, *, works: bool) -> None:
        self._works, self._both = works, threading.Barrier(2)

    def sentinel_masters(self) -> dict[str, Any]:
        """The state of the service."""
        if not self._works:
            raise redis.ConnectionError
        self._both.wait(10)
        good = {"is_master": True, "is_sdown": False, "is_odown": False, "num-other-sentinels": 2}
        return {SERVICE: good | {"ip": "127.0.0.1", "port": 1}}


def test_two_threads_that_ask_at_once_lose_no_sentinel() -> None:
    dead, working, last = Slow(works=False), Slow(works=True), Slow(works=True)
    known = Sentinels([], sentinel_kwargs={})
    known.sentinels = cast("list[redis.Redis]", [dead, working, last])
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(known.discover_master(SERVICE))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [("127.0.0.1", 1)] * 2
    assert cast("list[Slow]", known.sentinels) == [working, dead, last]


def test_errors_name_the_sentinels(start_server: Start) -> None:
    port, closed = free_port(), free_port()
    start_server("--port", str(port), "--bind", "127.0.0.1", aof=False)
    for place, message in (
        (port, "is not a Sentinel: write the addresses"),
        (closed, "name no primary that works: No "),
    ):
        connection = Connection(f"redis+sentinel://:s3cr3t@127.0.0.1:{place}/{SERVICE}")
        with pytest.raises(StoreUnavailable, match=message) as error:
            connection.run(PROBE, {}, {})
        assert "s3cr3t" not in str(error.value)
        assert len(str(error.value)) < 200
        connection.close()


def test_the_sentinels_have_their_own_password(start_server: Start, tmp_path: Path) -> None:
    """A server with a password is in place of a Sentinel: it answers only after the password."""
    port, file = free_port(), tmp_path / "password"
    server = ("--port", str(port), "--bind", "127.0.0.1")
    started = start_server(*server, aof=False)
    with started.client() as client:
        client.config_set("requirepass", "of-the-sentinels")
    file.write_text("of-the-sentinels\n")
    url = f"redis+sentinel://:s3cr3t@127.0.0.1:{port}/{SERVICE}"
    for given, message in (
        (url, r"AuthenticationError.*\?sentinel_password_file=FILE"),
        (f"{url}?sentinel_password_file={file}", "is not a Sentinel"),
    ):
        connection = Connection(given)
        with pytest.raises(StoreUnavailable, match=message):
            connection.run(PROBE, {}, {})
        connection.close()
