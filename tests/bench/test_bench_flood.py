"""Connections that send nothing, too little or too much: they cost the bench little, and every run gets its result."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from netlab.service.address import socket_address
from netlab.service.idle_connections import IDLE_MAX, PATIENCE_S
from netlab.service.line import BenchError, Line
from netlab.service.peer import peer_of
from netlab.service.request_lines import MAX_LINE
from netlab.service.requests import StatusRequest
from tests.bench.conftest import CAMPUS, Bench, running_bench
from tests.bench.test_bench_process import QUESTION, address_of, attempt, connected, say, works
from tests.support.patience import patience
from tests.support.waiting import wait_until

FLOOD = 500
LATE_S = PATIENCE_S + 20
"""Longer than the time limit of an idle connection, on a machine under load."""

CROWD = """
import contextlib, socket, sys
address = chr(0) + sys.argv[1][1:]
print("begun", flush=True)
held = []
while True:
    line = socket.socket(socket.AF_UNIX)
    with contextlib.suppress(OSError):
        line.connect(address)
        line.send(b'{"op": ')
    held = [*held[-300:], line]
"""


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with running_bench(CAMPUS) as started:
        assert works(started)  # all its sockets are open now
        yield started
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def crowd(bench: Bench, size: int = FLOOD, first: bytes = b"") -> Iterator[list[socket.socket]]:
    """This many connections, each having sent `first`."""
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(connected(bench)) for _ in range(size)]
        for line in lines:
            with contextlib.suppress(BrokenPipeError):
                line.sendall(first)
        yield lines


def descriptors(bench: Bench) -> int:
    return len(os.listdir(f"/proc/{bench.process.pid}/fd"))


def last_words(line: socket.socket) -> list[dict[str, object]]:
    """All replies until the bench closes the connection."""
    line.settimeout(LATE_S)
    output = b""
    with contextlib.suppress(ConnectionResetError):
        while data := line.recv(65536):
            output += data
    return [json.loads(reply) for reply in output.splitlines()]


@pytest.mark.parametrize("first", [b"", b'{"op": "attempt", "mode"'], ids=["silent", "half a request"])
def test_a_crowd_is_limited_and_sent_away(bench: Bench, first: bytes) -> None:
    before = descriptors(bench)
    with crowd(bench, first=first) as lines:
        for _ in range(5):
            assert works(bench)
        wait_until(lambda: descriptors(bench) <= before + IDLE_MAX + 20, 5, "the oldest of the crowd have made room")
        for line in (lines[0], lines[-1]):
            (reply,) = last_words(line)
            assert (reply["ok"], reply["code"]) == (False, "busy"), reply
        wait_until(lambda: descriptors(bench) <= before + 5, LATE_S, "the rest have had their time")
    assert works(bench)


def test_a_request_that_comes_byte_by_byte_is_not_waited_for(bench: Bench) -> None:
    with connected(bench) as line:
        began = time.monotonic()
        stop = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.2):
                    line.sendall(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        (reply,) = last_words(line)
        stop.set()
        dripping.join()
        assert reply["code"] == "busy"
        assert time.monotonic() - began < LATE_S


def test_a_line_without_end_is_refused(bench: Bench) -> None:
    with connected(bench) as line:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            line.sendall(b"x" * (3 * MAX_LINE))
        (reply,) = last_words(line)
        assert reply == {"ok": False, "code": "bad-request", "message": f"a request has at most {MAX_LINE} bytes"}
    assert works(bench)


def test_one_that_asks_and_does_not_read_is_sent_away(bench: Bench) -> None:
    before = descriptors(bench)
    with connected(bench) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                line.send(b'{"op": "status"}\n' * 100)
        wait_until(lambda: descriptors(bench) <= before, LATE_S, "its connection is closed")
    assert works(bench)


def test_an_attempt_is_no_visitor(bench: Bench) -> None:
    """A worker that takes long between attempt and question keeps its place, however many connect meanwhile."""
    with connected(bench) as worker, connected(bench) as visitor:
        assert say(worker, attempt(50, next(bench.fences))) == {"ok": True}
        assert last_words(visitor)[0]["code"] == "busy"
        with crowd(bench):
            assert say(worker, QUESTION)["result"]["verdict"] == "YES"


def test_runs_are_answered_amid_a_crowd_that_connects_without_pause(bench: Bench) -> None:
    flood = subprocess.Popen([sys.executable, "-c", CROWD, address_of(bench)], stdout=subprocess.PIPE, text=True)
    try:
        assert flood.stdout
        assert flood.stdout.readline() == "begun\n"
        assert flood.poll() is None
        answered = 0
        deadline = time.monotonic() + 60
        while answered < 50:  # as workers do, ask again after `busy`
            assert time.monotonic() < deadline, f"{answered} of 50 runs were answered"
            with contextlib.suppress(BenchError):
                answered += works(bench)
    finally:
        flood.kill()
        flood.communicate(timeout=patience(10))


def send_until_closed(line: Line) -> None:
    """Send until it fails: the bench sends the reason before it closes the connection."""
    while True:
        line.send(StatusRequest())


def test_a_client_learns_why_it_was_sent_away(bench: Bench) -> None:
    """Also when it can no longer send anything: after `busy` it may ask again."""
    with socket.socket(socket.AF_UNIX) as sock, socket_address(address_of(bench)) as name:
        sock.connect(name)
        assert select.select([sock], [], [], LATE_S)[0], "the bench sends it away"
        line = Line(sock, peer_of(sock))
        with pytest.raises(BenchError) as caught:
            send_until_closed(line)
        assert caught.value.code == "busy"
