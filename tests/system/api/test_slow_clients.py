"""Clients that send slowly, read slowly or do nothing: the others are served as usual."""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.http.connection import PATIENCE_S
from app.http.connections import ADDRESS_MAX
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.web import TOKEN, EventStream, Web

LATE_S = PATIENCE_S + 30
"""Longer than a slow client's deadline, on a machine under load."""
LARGE = "/api/openapi.json"
HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Half: "
HALF_BODY = b"POST /api/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
HALF_CHUNK = b"POST /api/runs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"
TOO_LARGE = b"POST /api/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
KEPT = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
UNREAD = f"GET {LARGE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode() * 40
ATTACKS = {
    "nothing": b"",
    "half a head": HALF_HEAD,
    "half a body": HALF_BODY,
    "half a chunk": HALF_CHUNK,
    "a body that is too large": TOO_LARGE,
    "a connection that is kept": KEPT,
    "answers that are not read": UNREAD,
}


@contextlib.contextmanager
def crowd(web: Web, size: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """This many connections, each having sent `sent`, and reading nothing."""
    with contextlib.ExitStack() as stack:
        lines = []
        for _ in range(size):
            line = stack.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(10)
            line.connect(("127.0.0.1", web.port))
            with contextlib.suppress(OSError):  # some have already been closed
                line.sendall(sent)
            lines.append(line)
        yield lines


def answer_time(web: Web, times: int = 9) -> float:
    """Median of the seconds that a request on a new connection takes."""
    taken = []
    for _ in range(times):
        began = time.monotonic()
        other = http.client.HTTPConnection("127.0.0.1", web.port, timeout=LATE_S, source_address=("127.0.0.2", 0))
        with contextlib.closing(other):
            other.request("GET", "/healthz")
            assert other.getresponse().status == 200
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


def all_said(line: socket.socket) -> bytes:
    """Everything received until the server closes."""
    line.settimeout(LATE_S)
    output = b""
    with contextlib.suppress(ConnectionResetError):
        while data := line.recv(65536):
            output += data
    return output


def open_connections(web: Web) -> int:
    """Sockets of the web server."""
    descriptors = Path(f"/proc/{web.process.pid}/fd")
    found = 0
    for descriptor in descriptors.iterdir():
        with contextlib.suppress(OSError):
            found += str(descriptor.readlink()).startswith("socket:")
    return found


@pytest.mark.parametrize("size", [60, 300])
@pytest.mark.parametrize("attack", ATTACKS)
def test_others_are_answered_at_once(web: Web, attack: str, size: int) -> None:
    alone = answer_time(web)
    with crowd(web, size, ATTACKS[attack]):
        assert answer_time(web) < max(20 * alone, 0.5)


@pytest.mark.parametrize("sent", [HALF_HEAD, HALF_BODY, HALF_CHUNK], ids=["head", "body", "chunk"])
def test_half_a_request_ends_with_408(web: Web, sent: bytes) -> None:
    with crowd(web, 60, sent) as lines:
        began = time.monotonic()
        for line in lines:
            head, _, body = all_said(line).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert b"application/problem+json" in head
            assert b"did not come in time" in body
        assert time.monotonic() - began < LATE_S


def test_a_head_that_comes_byte_by_byte_ends_too(web: Web) -> None:
    with crowd(web, 1, HALF_HEAD) as (line,):
        deadline = time.monotonic() + LATE_S
        line.settimeout(0.3)
        while True:
            assert time.monotonic() < deadline, "it is still waited for"
            with contextlib.suppress(TimeoutError):
                assert line.recv(1000).startswith(b"HTTP/1.1 408 ")
                break
            line.sendall(b"x")


@pytest.mark.parametrize("attack", ["nothing", "a connection that is kept", "answers that are not read"])
def test_idle_and_unread_connections_are_closed(web: Web, attack: str) -> None:
    before = open_connections(web)
    with crowd(web, 60, ATTACKS[attack]):
        wait_until(lambda: open_connections(web) > before + 5, 5, "they are there")
        wait_until(lambda: open_connections(web) <= before + 5, LATE_S, "they are gone")


def test_a_slow_client_that_makes_progress_is_served(web: Web) -> None:
    """A request in pieces, and an answer that is read in pieces."""
    with crowd(web, 1, b"") as (line,):
        for piece in (b"GET ", LARGE.encode(), b" HTTP/1.1\r\nHo", b"st: x\r\nConnection: close\r", b"\n\r\n"):
            line.sendall(piece)
            assert web.get("/healthz").status == 200  # the piece arrives in the meantime
        output = b""
        while data := line.recv(2000):
            output += data
    head, _, body = output.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == web.get(LARGE).body


def test_requests_sent_together_are_answered_in_order(web: Web) -> None:
    last = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    output = web.raw(KEPT * 3 + last)
    statuses = [answer.split()[0] for answer in output.split(b"HTTP/1.1 ")[1:]]
    assert statuses[:3] == [b"200"] * 3
    assert len(statuses) == 4
    assert statuses[3] != b"200"


def test_a_client_that_waits_for_100_continue(web: Web) -> None:
    body = b'{"source": "10.1.10.20", "destination": "10.3.20.8", "services": "443/tcp"}'
    head = (
        f"POST /api/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with crowd(web, 1, head.encode()) as (line,):
        assert line.recv(1000).startswith(b"HTTP/1.1 100 ")
        line.sendall(body)
        assert b"HTTP/1.1 202 " in all_said(line)


def test_one_address_has_at_most_so_many_connections(web: Web) -> None:
    """The one that has waited longest is closed for the newest."""
    before = open_connections(web)
    with crowd(web, ADDRESS_MAX + 50, HALF_HEAD) as lines:
        assert web.get("/healthz").status == 200
        assert open_connections(web) <= before + ADDRESS_MAX + 5
        assert all_said(lines[0]).startswith(b"HTTP/1.1 408 ")
    with crowd(web, 1, b"") as (line,):
        line.sendall(KEPT)
        assert line.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_trusted_proxy_may_have_more(server: Server, tmp_path: Path) -> None:
    web = Web(server.url, tmp_path, REACHQ_PROXY_FROM="127.0.0.1")
    try:
        before = open_connections(web)
        with crowd(web, ADDRESS_MAX + 50, b""):
            wait_until(lambda: open_connections(web) >= before + ADDRESS_MAX + 20, 9, "all of them are kept")
            assert web.get("/healthz").status == 200
    finally:
        web.stop()


def test_event_streams_outlast_the_deadline_and_the_crowd(web: Web) -> None:
    stream = EventStream(web)
    assert stream.status == 200
    with crowd(web, ADDRESS_MAX + 50, HALF_HEAD) as lines:
        assert all_said(lines[-1]).startswith(b"HTTP/1.1 408 ")  # so the deadline has passed
        run = web.submit()
        assert run.status == 202
        wait_until(lambda: stream.events, 5, "the stream still has events")
    stream.close()


def test_the_server_ends_promptly_among_slow_clients(server: Server, tmp_path: Path) -> None:
    web = Web(server.url, tmp_path)
    with crowd(web, 60, HALF_HEAD), crowd(web, 20, UNREAD):
        assert web.stop() < 8


def test_a_connection_in_use_outlives_many_requests(web: Web) -> None:
    connection: http.client.HTTPConnection = web.connect()
    for _ in range(300):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
    connection.close()
