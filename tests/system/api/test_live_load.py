"""The live feed under load: two hundred boards, five hundred runs, broken connections, readers that do not read."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil
import pytest

from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.crowd import Crowd, Ear
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.people import person
from tests.support.runs import submitted
from tests.support.waiting import wait_until
from tests.support.web import QUESTION, TOKEN, Web

BOARDS, RUNS, CLIENTS = 200, 500, 5
GROWTH_MAX = 60 * 2**20


@pytest.fixture
def crowd(web: Web) -> Iterator[Crowd]:
    with Crowd(web) as listeners:
        yield listeners


def ids_after(ledger: Ledger, before: str) -> list[str]:
    """The ids in the stream itself."""
    return [event.id for event in ledger.events(before, count=100_000)]


def memory(web: Web) -> int:
    """Memory of the web process in bytes."""
    return int(psutil.Process(web.process.pid).memory_info().rss)


def listening(web: Web) -> int:
    """Connections of the web process."""
    found = psutil.Process(web.process.pid).net_connections("tcp")
    return sum(connection.status in ("ESTABLISHED", "CLOSE_WAIT") for connection in found)


def ask(web: Web, count: int) -> list[float]:
    """Submit runs one after the other on one connection; returns the seconds of each."""
    connection, took = web.connect(), []
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    for _ in range(count):
        began = time.monotonic()
        connection.request("POST", "/api/runs", json.dumps(QUESTION), headers)
        answer = connection.getresponse()
        answer.read()
        took.append(time.monotonic() - began)
        assert answer.status == 202
    connection.close()
    return took


def idle(ledger: Ledger) -> bool:
    """Whether no run is on the bench or waiting."""
    view = ledger.queue(limit=1)
    return not view.running and not view.waiting_total


def test_two_hundred_boards_while_five_hundred_runs_pass(
    web: Web, ledger: Ledger, settings: Settings, crowd: Crowd
) -> None:
    viewer = person(ledger, "vera", "viewer")
    with Parts(settings) as parts:
        parts.dispatcher()
        parts.dispatcher()
        parts.pool(32, 1, hold_ms=20)
        wait_until(parts.leader_pid, 10, "one leads")
        ask(web, 1)
        wait_until(lambda: idle(ledger), 10, "the first run has ended")
        before, memory_before = ledger.last_event_id(), memory(web)
        ears = [crowd.open(before, viewer.token if number % 2 else TOKEN) for number in range(BOARDS)]
        deaf = [crowd.open(before, read=False, buffer=2048) for _ in range(5)]
        broken = crowd.open(before)
        wait_until(lambda: all(ear.greeted for ear in [*ears, broken]), 20, "all listen")

        with ThreadPoolExecutor(CLIENTS) as pool:
            asking = [pool.submit(ask, web, RUNS // CLIENTS) for _ in range(CLIENTS)]
            wait_until(lambda: len(broken.ids) > 100, 20, "the line that will break has had some")
            crowd.cut(broken)
            took = [seconds for client in asking for seconds in client.result()]
        wait_until(lambda: idle(ledger), 60, "all runs have ended")
        back = crowd.open(broken.ids[-1])
        happened = ids_after(ledger, before)
        assert len(happened) >= 4 * RUNS, "each run is submitted, promoted, begun and finished"
        wait_until(lambda: all(len(ear.ids) >= len(happened) for ear in ears), 20, "every board has all events")
        for ear in ears:
            assert ear.ids[: len(happened)] == happened
        wait_until(lambda: len(broken.ids) + len(back.ids) >= len(happened), 20, "so has the one that came back")
        assert (broken.ids + back.ids)[: len(happened)] == happened
        wait_until(lambda: all(ear.boards for ear in ears), 5, "every board has been painted")
    grown = memory(web) - memory_before
    report(took, grown, ears)
    assert statistics.median(took) < patience(0.2)
    assert grown < GROWTH_MAX, f"{grown / 2**20:.0f} MB"
    for ear in deaf:
        ear.sock.close()


def report(took: list[float], grown: int, ears: list[Ear]) -> None:
    """Print the numbers, with `pytest -s`."""
    median, most = statistics.median(took) * 1000, statistics.quantiles(took, n=100)[98] * 1000
    sent = sum(ear.bytes for ear in ears) / 2**20
    print(
        f"\n{len(ears)} boards: submit p50 {median:.1f} ms, p99 {most:.1f} ms; web process +{grown / 2**20:.1f} MB; "
        f"{min(ear.boards for ear in ears)} pictures each, at most {max(ear.largest for ear in ears) // 1024} KB; "
        f"{sent:.0f} MB sent"
    )


def test_whoever_was_cut_off_for_long_misses_nothing(web: Web, ledger: Ledger, crowd: Crowd) -> None:
    """More happens in the meantime than in any ten seconds: only the stream counts, not the time."""
    first = crowd.open(ledger.last_event_id())
    began = ledger.last_event_id()
    for _ in range(3):
        submitted(ledger)
    wait_until(lambda: len(first.ids) == 3, 5, "what came before")
    crowd.cut(first)
    for _ in range(500):
        submitted(ledger)
    second = crowd.open(first.ids[-1])
    submitted(ledger)
    wait_until(lambda: len(second.ids) >= 501, 10, "what it missed, and what is new")
    assert first.ids + second.ids == ids_after(ledger, began)


def has_heard(ear: Ear, count: int) -> bool:
    return len(ear.ids) >= count


def test_slow_readers_hold_up_nobody(web: Web, ledger: Ledger, crowd: Crowd) -> None:
    """Fifty that read nothing, while snapshots and events pile up: others get each event at once."""
    deaf = [crowd.open("0-0", read=False, buffer=2048) for _ in range(50)]
    ear, memory_before = crowd.open("0-0"), memory(web)
    waits = []
    for number in range(1, 301):
        began = time.monotonic()
        submitted(ledger)
        wait_until(partial(has_heard, ear, number), 5, "the event arrives")
        waits.append(time.monotonic() - began)
    wait_until(lambda: ear.boards, 10, "pictures as well")
    assert statistics.median(waits) < patience(0.1)
    assert memory(web) - memory_before < GROWTH_MAX
    for each in deaf:
        each.sock.close()


def test_the_first_picture_is_of_now(web: Web, ledger: Ledger, crowd: Crowd) -> None:
    """Not the one rendered for the last viewer."""
    wait_until(lambda: not listening(web), 5, "nobody else looks")
    looker = crowd.open("0-0")
    wait_until(lambda: looker.boards, 10, "a picture")
    crowd.cut(looker)
    wait_until(lambda: not listening(web), 5, "and nobody at all")
    run = submitted(ledger)
    later = crowd.open("0-0")
    wait_until(lambda: later.first_board, 10, "a picture")
    assert run.id.encode() in later.first_board


def test_without_a_board_there_are_no_pictures(web: Web, ledger: Ledger) -> None:
    with Crowd(web, "/api/events") as plain, Crowd(web) as boards:
        listener, looker = plain.open("0-0"), boards.open("0-0")
        submitted(ledger)
        wait_until(lambda: looker.boards, 10, "a picture for who wants one")
        wait_until(lambda: listener.ids, 5, "events for both")
        assert not listener.boards
