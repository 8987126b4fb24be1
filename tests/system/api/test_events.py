"""The live feed: everything arrives, in order, at every listener, even one that was disconnected or is slow."""

from __future__ import annotations

import json
import os
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

from app.live import feed, window
from ledger.runs.records import Answer
from ledger.store import Ledger
from tests.support.patience import patience
from tests.support.runs import running, submitted
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.web import QUESTION, TOKEN, EventStream, Web


def sockets(web: Web) -> int:
    """TCP connections of the web process."""
    found = psutil.Process(web.process.pid).net_connections("tcp")
    return sum(connection.status == "ESTABLISHED" for connection in found)


def test_a_client_that_can_send_no_header_names_the_event_in_the_address(web: Web, ledger: Ledger) -> None:
    runs = [submitted(ledger) for _ in range(3)]
    first = ledger.events("0-0")[0].id
    with socket.create_connection(("127.0.0.1", web.port), 10) as sock:
        head = f"GET /api/events?after={first} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        sock.sendall(head.encode())
        received = b""
        while received.count(b"\nid: ") < 2:
            received += sock.recv(65536)
    assert runs[0].id.encode() not in received
    assert all(run.id.encode() in received for run in runs[1:])
    assert web.get("/api/events?after=nonsense").status == 422


def test_a_run_is_seen_from_end_to_end(web: Web, ledger: Ledger) -> None:
    stream = EventStream(web)
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-store"
    assert "content-length" not in stream.headers
    assert "transfer-encoding" not in stream.headers
    run = running(ledger)
    ledger.finish(run.id, run.token, Answer("YES"))
    mine = wait_until(
        lambda: [e for e in stream.events if e["run_id"] == run.id and e["kind"] == "finished"], 5, "finished is seen"
    )
    kinds = [event["kind"] for event in stream.events if event["run_id"] == run.id]
    assert kinds == ["submitted", "promoted", "begun", "finished"]
    assert mine[0]["bench"] == "main"
    assert [event.id for event in ledger.events("0-0")] == stream.ids
    stream.close()


def has_events(stream: EventStream, count: int) -> bool:
    return len(stream.events) >= count


def test_events_are_quick(web: Web, ledger: Ledger) -> None:
    stream = EventStream(web)
    waits = []
    for number in range(1, 21):
        began = time.monotonic()
        submitted(ledger)
        wait_until(partial(has_events, stream, number), 2, "the event arrives")
        waits.append(time.monotonic() - began)
    assert statistics.median(waits) < patience(0.1)
    stream.close()


def test_last_event_id_resumes_with_nothing_missed(web: Web, ledger: Ledger) -> None:
    first = EventStream(web)
    for _ in range(5):
        submitted(ledger)
    wait_until(lambda: len(first.ids) == 5, 5, "five events")
    first.close()
    for _ in range(300):
        submitted(ledger)

    second = EventStream(web, first.ids[2])
    wait_until(lambda: len(second.ids) == 302, 5, "the rest")
    submitted(ledger)
    wait_until(lambda: len(second.ids) == 303, 5, "and what comes")
    assert first.ids[:3] + second.ids == [event.id for event in ledger.events("0-0", count=1000)]
    second.close()

    newest = EventStream(web, second.ids[-1])
    submitted(ledger)
    wait_until(lambda: newest.ids, 5, "only what is new")
    assert len(newest.ids) == 1
    newest.close()


def test_without_an_id_only_what_is_new(web: Web, ledger: Ledger) -> None:
    submitted(ledger)
    stream = EventStream(web)
    run = submitted(ledger)
    wait_until(lambda: stream.events, 5, "the new one")
    assert [event["run_id"] for event in stream.events] == [run.id]
    stream.close()


def test_a_listener_far_behind_is_served_from_redis(web: Web, ledger: Ledger) -> None:
    """More events than the window holds, on a listener that begins before it."""
    total = feed.WINDOW + 700
    submitted(ledger)
    before = ledger.last_event_id()
    with ledger.connection.client.pipeline(transaction=False) as pipe:
        for number in range(total):
            pipe.xadd("reachq:events", {"kind": "progress", "bench": "main", "number": number})
        pipe.execute()
    stream = EventStream(web, before)
    wait_until(lambda: len(stream.events) == total, 20, "all of them")
    assert [int(event["number"]) for event in stream.events] == list(range(total))
    stream.close()


def test_a_quiet_stream_has_a_heartbeat(web: Web) -> None:
    stream = EventStream(web)
    wait_until(lambda: stream.comments >= 3, 5, "comments on a quiet stream")
    assert not stream.events
    stream.close()


def test_a_listener_that_goes_away_is_forgotten_at_once(web: Web) -> None:
    before = sockets(web)
    threads = psutil.Process(web.process.pid).num_threads()
    streams = [EventStream(web) for _ in range(30)]
    assert psutil.Process(web.process.pid).num_threads() == threads, "a listener holds no thread"
    for stream in streams:
        stream.close()
    wait_until(lambda: sockets(web) <= before, 2, "their sockets are closed")


def test_a_listener_that_does_not_read_holds_up_nobody(web: Web, ledger: Ledger) -> None:
    deaf = socket.create_connection(("127.0.0.1", web.port))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.sendall(f"GET /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    stream = EventStream(web)
    before = psutil.Process(web.process.pid).memory_info().rss
    with ledger.connection.client.pipeline(transaction=False) as pipe:
        for number in range(15_000):
            pipe.xadd("reachq:events", {"kind": "progress", "bench": "main", "text": "x" * 500, "number": number})
        pipe.execute()
    wait_until(lambda: len(stream.events) == 15_000, 20, "the other listener has them all")
    grown = psutil.Process(web.process.pid).memory_info().rss - before
    assert grown < 40 * 2**20, f"{grown / 2**20:.0f} MB for one deaf listener"
    deaf.close()
    stream.close()


def test_two_hundred_listeners_while_five_hundred_runs_are_submitted(web: Web, ledger: Ledger) -> None:
    streams = [EventStream(web) for _ in range(200)]
    waits: list[float] = []

    def submit(count: int) -> None:
        connection = web.connect()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        for _ in range(count):
            began = time.monotonic()
            connection.request("POST", "/api/runs", json.dumps(QUESTION), headers)
            answer = connection.getresponse()
            answer.read()
            waits.append(time.monotonic() - began)
            assert answer.status == 202
        connection.close()

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(submit, [100] * 5))
    ids = [event.id for event in ledger.events("0-0", count=1000)]
    assert len(ids) == 500
    for stream in streams:
        wait_until(partial(has_events, stream, 500), 20, "each listener has all events")
        assert stream.ids == ids
    for stream in streams:
        stream.close()
    assert statistics.median(waits) < patience(0.2), f"median submit {statistics.median(waits) * 1000:.1f} ms"


def test_no_more_listeners_than_there_is_room_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit itself, with a feed of this process."""
    from ledger.settings import Settings

    monkeypatch.setattr(feed, "LISTENERS_MAX", 2)
    with Ledger.connect(Settings(redis_url=server.url, data=tmp_path)) as ledger:
        small = feed.Feed(ledger, ledger, heartbeat_s=60)
        small.start()
        pairs = [socket.socketpair() for _ in range(2)]
        assert not small.full
        for ours, _ in pairs:
            small.adopt(ours, window.Position(0, 0), window.Audience("ada", "admin"))
        assert small.full
        small.close()
        for _, theirs in pairs:
            assert theirs.recv(100) == b""
            theirs.close()


def test_streams_outlive_the_redis_they_read(aof_server: Server, tmp_path: Path) -> None:
    from ledger.settings import Settings

    web = Web(aof_server.url, tmp_path)
    ledger = Ledger.connect(Settings(redis_url=aof_server.url, data=tmp_path))
    try:
        stream = EventStream(web)
        submitted(ledger)
        wait_until(lambda: len(stream.ids) == 1, 5, "the first event")
        aof_server.kill9()
        assert web.get("/readyz").status == 503
        assert web.submit().json["type"] == "urn:reachq:problem:store-unavailable"
        aof_server.restart()
        submitted(ledger)
        wait_until(lambda: len(stream.ids) == 2, 5, "the feed goes on")
        stream.close()
    finally:
        web.stop()
        ledger.close()


def test_shutting_down_ends_streams_and_is_prompt(server: Server, tmp_path: Path) -> None:
    web = Web(server.url, tmp_path)
    streams = [EventStream(web) for _ in range(20)]
    idle = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(20)]
    assert web.stop() < patience(3)
    for stream in streams:
        assert stream.ended.wait(patience(2))
        stream.close()
    for connection in idle:
        connection.close()


def test_idle_connections_keep_no_thread_from_working(web: Web) -> None:
    idle = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(100)]
    began = time.monotonic()
    assert web.get("/healthz").status == 200
    assert time.monotonic() - began < patience(1)
    for connection in idle:
        connection.close()


def test_file_descriptors_come_back(web: Web) -> None:
    folder = f"/proc/{web.process.pid}/fd"
    web.get("/api/runs")
    before = len(os.listdir(folder))
    for _ in range(5):
        for stream in [EventStream(web) for _ in range(10)]:
            stream.close()
        for _ in range(10):
            web.submit(source="x")
    wait_until(lambda: len(os.listdir(folder)) <= before + 2, 5, "all are closed")
