"""Read operations: runs by page, the queue, lanes, workers, bench, events."""

from __future__ import annotations

import threading
import time

import pytest
import redis

from ledger.errors import StoreUnavailable
from ledger.runs.records import Answer
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support.patience import patience
from tests.support.runs import announced, leading, running, submitted
from tests.support.server import Server
from tests.support.waiting import wait_until


def test_the_id_of_an_event_is_its_time(ledger: Ledger) -> None:
    runs = [submitted(ledger) for _ in range(3)]
    assert [event.ms for event in ledger.events("0-0")] == [run.submitted_ms for run in runs]


def test_the_record_of_a_run_beyond_the_line_stays_small(ledger: Ledger, client: redis.Redis) -> None:
    runs = [submitted(ledger) for _ in range(33)]
    assert client.object("encoding", f"reachq:run:{runs[-1].id}") == "listpack"


def test_a_waiting_reader_is_woken_at_once(ledger: Ledger, settings: Settings) -> None:
    with Ledger.connect(settings) as reader:
        last, found = reader.last_event_id(), []
        thread = threading.Thread(target=lambda: found.extend(reader.events(last, block_ms=10_000)))
        thread.start()
        run = submitted(ledger)
        thread.join(patience(5))
    assert [event.run_id for event in found] == [run.id]


def test_a_wait_may_be_longer_than_the_read_timeout(settings: Settings) -> None:
    with Ledger.connect(settings, read_timeout_s=1) as reader:
        begun = time.monotonic()
        assert reader.events("$", block_ms=1200) == []
        assert 1.1 < time.monotonic() - begun < patience(10)


def test_nothing_is_missed_while_waiting_for_new_events_only(ledger: Ledger, settings: Settings) -> None:
    with Ledger.connect(settings, read_timeout_s=1) as reader:
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.extend(e.run_id for e in reader.events("$", block_ms=5000)))
        thread.start()
        wait_until(lambda: submitted(ledger) and found, 5, "the reader hears of a run")
        thread.join(patience(5))


def test_the_stream_is_capped(ledger: Ledger, client: redis.Redis, server: Server) -> None:
    capped = ledger.settings.model_copy(update={"events_max": 1000})
    with Ledger.connect(capped) as ledger:
        announced(ledger)
        for _ in range(2500):
            ledger.cancel(submitted(ledger).id)
    assert client.xlen("reachq:events") < 1200
    assert leading(ledger)


def test_a_server_that_went_away_and_came_back(aof_server: Server) -> None:
    with Ledger.connect(load_settings(redis_url=aof_server.url), read_timeout_s=2) as ledger:
        run = running(ledger)
        aof_server.kill9()
        with pytest.raises(StoreUnavailable):
            ledger.ping()
        with pytest.raises(StoreUnavailable):
            ledger.renew(run.id, run.token)
        aof_server.start()
        assert ledger.run(run.id) == run
        assert ledger.renew(run.id, run.token).alive
        assert ledger.finish(run.id, run.token, Answer("YES"))
