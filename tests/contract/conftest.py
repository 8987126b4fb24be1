"""A ledger and a plain client on each kind of store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import fakeredis
import pytest
import redis

from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support import leaks
from tests.support.fake_store import FakeConnection
from tests.support.server import Server

Connect = Callable[..., Ledger]


@pytest.fixture(scope="session", autouse=True)
def _server_first(request: pytest.FixtureRequest) -> None:
    """Start the session's server before the first test's check for left processes, when any test uses it."""
    if any("[server" in item.nodeid for item in request.session.items):
        request.getfixturevalue("_server")


@pytest.fixture(params=["fakeredis", "server"])
def store(request: pytest.FixtureRequest) -> fakeredis.FakeServer | Server:
    """An empty store of one kind; after the test its keys and the design's invariants are checked."""
    if request.param == "server":
        server: Server = request.getfixturevalue("server")
        return server
    return fakeredis.FakeServer()


@pytest.fixture
def settings(store: fakeredis.FakeServer | Server, tmp_path: Path) -> Settings:
    """Settings of the test's own; they point at the store when it is a server."""
    return load_settings(redis_url=store.url if isinstance(store, Server) else "redis://no-server", data=tmp_path)


@pytest.fixture
def client(store: fakeredis.FakeServer | Server) -> Iterator[redis.Redis]:
    """A plain client on the same store."""
    if isinstance(store, Server):
        with store.client() as plain:
            yield plain
    else:
        with fakeredis.FakeRedis(server=store, decode_responses=True) as plain:
            yield plain
            wrong = leaks.stray_keys(plain) + leaks.broken_invariants(plain)
            assert not wrong, "left in the store:\n" + "\n".join(wrong)


@pytest.fixture
def connect(store: fakeredis.FakeServer | Server, settings: Settings) -> Iterator[Connect]:
    """Another ledger on the same store: `connect(fair_waiting=3)` changes settings."""
    opened: list[Ledger] = []

    def another(**changes: object) -> Ledger:
        changed = settings.model_copy(update=changes)
        if isinstance(store, Server):
            opened.append(Ledger.connect(changed))
        else:
            opened.append(Ledger(FakeConnection(store), changed))
        return opened[-1]

    yield another
    for one in opened:
        one.close()


@pytest.fixture
def ledger(connect: Connect, client: redis.Redis) -> Ledger:
    """A ledger on the empty store; `client` checks what a test leaves in it."""
    return connect()
