"""A lost reply: the command was carried out, so a client that repeats it does it twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ledger.errors import StoreUnavailable
from ledger.redis.address import open_client
from ledger.runs.run import Run
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from netlab.service.client import BenchClient, BenchError
from tests.support.patience import patience
from tests.support.proxy import Proxy
from tests.support.runs import a_request
from tests.support.server import Server
from workers.worker import rq_client

MARK = "the-one-that-is-lost"


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.socket) as between:
        yield between


@pytest.mark.parametrize("text", [True, False], ids=["ledger", "rq"])
def test_a_command_without_a_reply_is_sent_once(proxy: Proxy, client: redis.Redis, text: bool) -> None:
    """Fails when open_client lets redis-py retry."""
    lossy = open_client(proxy.url, timeout_s=5, text=text)
    proxy.lose_reply_to(MARK)
    with pytest.raises(redis.ConnectionError):
        lossy.rpush(MARK, "x")
    assert proxy.lost.wait(patience(5))
    assert client.lrange(MARK, 0, -1) == ["x"]
    client.delete(MARK)
    lossy.close()


def test_a_worker_takes_one_id_at_most(proxy: Proxy, client: redis.Redis) -> None:
    """Fails when rq_client retries: no worker would process the second id."""
    lossy = rq_client(load_settings(redis_url=proxy.url))
    client.rpush("rq:queue:q", "one", "two")
    proxy.lose_reply_to("rq:queue:q:intermediate")
    with pytest.raises(redis.ConnectionError):
        lossy.blmove("rq:queue:q", "rq:queue:q:intermediate", 1)
    assert client.lrange("rq:queue:q", 0, -1) == ["two"]
    client.delete("rq:queue:q", "rq:queue:q:intermediate")
    lossy.close()


def test_a_submission_without_a_reply_is_stored_once_and_reported(proxy: Proxy, settings: Settings) -> None:
    lossy_settings = settings.model_copy(update={"redis_url": proxy.url})
    with Ledger.connect(lossy_settings) as lossy:
        lossy.ping()
        first, _ = lossy.submit(a_request())  # the script is loaded by now
        proxy.lose_reply_to(MARK)
        with pytest.raises(StoreUnavailable):
            lossy.submit(a_request(), user=MARK)
        found: list[Run] = lossy.runs()[0]
    assert sorted(run.user for run in found) == sorted([MARK, first.user])


def test_a_bench_that_does_not_answer_is_asked_once(tmp_path: Path) -> None:
    """Fails when BenchClient connects or sends again: the bench may have begun, and its fence is used up."""
    asked = list[bytes]()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "bench.sock"))
        listener.listen()
        listener.settimeout(patience(2))

        def take_and_close() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                with line:
                    asked.append(line.recv(65536))

        thread = threading.Thread(target=take_and_close)
        thread.start()
        client = BenchClient(str(tmp_path / "bench.sock"), 5)
        with (
            pytest.raises(BenchError) as lost,
            client.attempt(run_id="r", mode="quick", lane=32, fence=1) as attempt,
        ):
            attempt.quick(source="10.0.0.1", destination="10.0.0.2", services=[(1, "tcp")])
        with pytest.raises(BenchError):
            client.status()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(patience(5))
    assert lost.value.code in ("lost", "unavailable")
    assert len(asked) == 2, "one connection for each of the two questions"
