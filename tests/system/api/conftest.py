"""One web server for all tests here: it keeps no state that a test could leave to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.support.server import Server
from tests.support.web import Web


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
