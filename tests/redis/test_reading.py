"""Read operations: runs by page, the queue, lanes, workers, bench, events."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

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


def test_a_view_is_read_at_the_moment_when_the_awaited_event_comes(ledger: Ledger, settings: Settings) -> None:
    with ThreadPoolExecutor() as pool, Ledger.connect(settings) as reader:
        reader.view()
        last = reader.last_event_id()
        waiting = pool.submit(reader.view_after_events, last, block_ms=4000)
        wait_until(lambda: _blocked(ledger), 5, "the reader waits")
        run = submitted(ledger)
        events, view = waiting.result(patience(5))
    assert [event.run_id for event in events] == [run.id]
    assert view
    assert [waiter.run_id for waiter in view.waiting] == [run.id]


def test_a_view_after_no_event_is_read_when_the_wait_ends(ledger: Ledger) -> None:
    run = submitted(ledger)
    ledger.view()
    events, view = ledger.view_after_events(ledger.last_event_id(), block_ms=1)
    assert not events
    assert view
    assert [waiter.run_id for waiter in view.waiting] == [run.id]


def test_a_server_that_has_lost_its_scripts_gives_the_events_without_a_view(
    ledger: Ledger, client: redis.Redis
) -> None:
    run = submitted(ledger)
    client.script_flush()
    events, view = ledger.view_after_events("0-0", block_ms=1)
    assert [event.run_id for event in events] == [run.id]
    assert view is None
    assert [waiter.run_id for waiter in ledger.view().waiting] == [run.id]


def _blocked(ledger: Ledger) -> bool:
    return int(ledger.connection.client.info("clients")["blocked_clients"]) > 0


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
