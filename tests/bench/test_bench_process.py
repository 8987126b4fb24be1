"""The bench as a process: its socket, its fences, and what is left after it ends in any way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from netlab.service.address import socket_address
from netlab.service.client import BenchClient, BenchError
from tests.bench.campus_cells import CELLS
from tests.bench.conftest import CAMPUS, Bench, parse, parsed, running_bench
from tests.bench.small import write_router
from tests.bench.test_isolation import namespaces_of
from tests.support.patience import patience
from tests.support.strangers import PYTHON, readable_by_all
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
YES = next(cell for cell in CELLS if cell.verdict == "YES" and "/" in cell.service)
QUESTION = {"op": "quick", "source": YES.source, "destination": YES.destination, "services": [parse(YES.service)]}
_addresses = count(1)


@pytest.fixture(scope="module")
def target() -> Iterator[Bench]:
    """A campus bench whose socket is attacked."""
    with running_bench(CAMPUS) as bench:
        yield bench


def start(
    network: Path = CAMPUS, *, address: str = "", before: tuple[str, ...] = (), python: str = sys.executable
) -> tuple[subprocess.Popen[str], str]:
    """Starts benches for the test, and ends them afterwards."""
    address = address or f"@reachq-process-{os.getpid()}-{next(_addresses)}"
    command = [*before, python, "-m", "netlab", "--network", str(network), "--socket", address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    line = process.stdout.readline()
    if not line.startswith("bench ready"):
        output = process.communicate(timeout=patience(10))[1]
        raise AssertionError(f"exit {process.returncode}: {output}")
    return process, address


def address_of(bench: Bench) -> str:
    """Where it listens, from its command line."""
    return str(bench.process.args[-1])  # type: ignore[index]


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Ends the process after the body in any case, even if it is stopped."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=patience(10))


def connected(bench: Bench) -> socket.socket:
    """A plain connection to its socket."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket_address(address_of(bench)) as name:
        sock.connect(name)
    sock.settimeout(10)
    return sock


def say(sock: socket.socket, request: object) -> dict[str, Any]:
    """Send one line, read one line."""
    sock.sendall((request if isinstance(request, bytes) else json.dumps(request).encode()) + b"\n")
    data = b""
    while not data.endswith(b"\n"):
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionResetError
        data += piece
    reply: dict[str, Any] = json.loads(data)
    return reply


def attempt(lane: int, fence: int) -> dict[str, Any]:
    return {"op": "attempt", "run_id": f"run-{lane}-{fence}", "mode": "quick", "lane": lane, "fence": fence}


def works(bench: Bench) -> bool:
    """Whether it still answers correctly; lane 63 is reserved for this."""
    with bench.client.attempt(run_id="works", mode="quick", lane=63, fence=next(bench.fences)) as opened:
        result = opened.quick(YES.source, YES.destination, parsed(YES.service))
        return result.verdict == "YES" and result.path == tuple(YES.path)


def open_lanes(bench: Bench) -> list[int]:
    return [found.lane for found in bench.client.status().attempts]


def test_fences(target: Bench) -> None:
    with connected(target) as old, connected(target) as new:
        assert say(old, attempt(40, 10)) == {"ok": True}
        assert say(new, attempt(40, 9))["code"] == "stale-fence"
        assert say(new, attempt(40, 10))["code"] == "stale-fence"
        assert say(old, QUESTION)["result"]["verdict"] == "YES"
        assert say(new, attempt(40, 11)) == {"ok": True}
        with pytest.raises(ConnectionError):
            say(old, QUESTION)  # the newer attempt has ended it
        assert say(new, QUESTION)["result"]["verdict"] == "YES"
        assert open_lanes(target) == [40]
    wait_until(lambda: open_lanes(target) == [], 5, "a closed connection ends its attempt")
    with connected(target) as late:
        assert say(late, attempt(40, 11))["code"] == "stale-fence"  # remembered beyond the attempt
    assert works(target)


def test_a_stopped_client_that_wakes_up_can_do_nothing(target: Bench) -> None:
    services = parsed(YES.service)
    code = (
        "import sys, os, signal; from netlab.service.client import BenchClient, BenchError\n"
        f"with BenchClient({address_of(target)!r}, 5).attempt(run_id='a', mode='quick', lane=41, fence=1) as attempt:\n"
        "    print('open', flush=True); os.kill(os.getpid(), signal.SIGSTOP)\n"
        f"    try: attempt.quick({YES.source!r}, {YES.destination!r}, {services!r})\n"
        "    except BenchError as no: print(no.code, flush=True)\n"
    )
    with ended(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)) as client:
        assert client.stdout
        assert client.stdout.readline() == "open\n"
        stat = Path(f"/proc/{client.pid}/stat")
        wait_until(lambda: stat.read_text().split(")")[1].split()[0] == "T", 5, "the client stops itself")
        assert works(target)
        with target.client.attempt(run_id="b", mode="quick", lane=41, fence=2):
            wait_until(
                lambda: [one.fence for one in target.client.status().attempts] == [2],
                5,
                "the bench admits the newer attempt",
            )
            client.send_signal(signal.SIGCONT)
            assert client.communicate(timeout=patience(10))[0] == "lost\n"
        assert client.returncode == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"null",
        b"[" * 100_000,
        b"1" * 10_000,
        b'{"op": "attempt"}',
        b'{"op": "attempt", "mode": "quick", "lane": 31, "fence": 1}',
        b'{"op": "attempt", "mode": "quick", "lane": "32", "fence": 1}',
        b'{"op": "attempt", "mode": "quick", "lane": 32, "fence": 0}',
        b'{"op": "attempt", "mode": "quick", "lane": 32, "fence": 1.5}',
        b'{"op": "attempt", "mode": {}, "lane": [], "fence": null}',
        b'{"op": {"op": "quick"}}',
        json.dumps(QUESTION).encode(),
    ],
    ids=lambda garbage: repr(garbage[:40]),
)
def test_garbage_is_refused_with_a_message(target: Bench, garbage: bytes) -> None:
    with connected(target) as sock:
        reply = say(sock, garbage)
        assert reply["ok"] is False
        assert reply["code"] in ("bad-request", "lost")
        assert reply["message"]
        assert say(sock, {"op": "status"})["ok"]  # the connection still works
    assert works(target)


@pytest.mark.parametrize(
    "change",
    [
        {"services": []},
        {"services": None},
        {"services": 5},
        {"services": "80/tcp"},
        {"services": {}},
        {"services": [5]},
        {"services": [{"port": 80}]},
        {"services": [{"port": 80, "protocol": []}]},
        {"services": [{"port": 80, "protocol": {}}]},
        {"services": [{"port": [], "protocol": "tcp"}]},
        {"services": [{"port": True, "protocol": "tcp"}]},
        {"services": [{"port": 80.0, "protocol": "tcp"}]},
        {"services": [{"port": 0, "protocol": "tcp"}]},
        {"services": [{"port": 65536, "protocol": "udp"}]},
        {"services": [{"port": 80, "protocol": "icmp"}]},
        {"services": [{"port": None, "protocol": "tcp"}]},
        {"services": [{"port": 80, "protocol": "sctp"}]},
        {"services": [{"port": 80, "protocol": "tcp"}] * 101},
        {"source": None},
        {"source": "10.0.0"},
        {"source": "::1"},
        {"source": []},
        {"source": 167772161},
        {"source": True},
        {"destination": "10.0.0.1/32"},
        {"destination": -1},
        {"source_port": 0},
        {"source_port": "80"},
        {"source_port": 70_000},
    ],
    ids=str,
)
def test_questions_that_cannot_be_asked(target: Bench, change: dict[str, Any]) -> None:
    with connected(target) as sock:
        assert say(sock, attempt(42, next(target.fences)))["ok"]
        reply = say(sock, QUESTION | change)
        assert (reply["ok"], reply["code"]) == (False, "bad-request"), reply
        assert say(sock, QUESTION)["result"]["verdict"] == "YES"


def test_a_line_of_10_mb_ends_its_connection_only(target: Bench) -> None:
    with connected(target) as sock, pytest.raises(ConnectionError):
        say(sock, b'{"op": "' + b"x" * 10_000_000 + b'"}')
    assert works(target)


def test_many_idle_connections_and_a_slow_reader(target: Bench) -> None:
    idle = [connected(target) for _ in range(300)]
    with connected(target) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        try:
            while True:  # sends requests and reads nothing, until the bench accepts no more
                slow.send(b'{"op": "status"}\n' * 100)
        except BlockingIOError:
            pass
        started = time.monotonic()
        assert works(target)
        assert time.monotonic() - started < patience(2)
    for sock in idle:
        sock.close()
    assert works(target)


def test_a_client_that_leaves_with_its_question_open(target: Bench) -> None:
    for fence in range(100, 130):
        with connected(target) as sock:
            sock.sendall(json.dumps(attempt(43, fence)).encode() + b"\n" + json.dumps(QUESTION).encode() + b"\n")
    wait_until(lambda: open_lanes(target) == [], 5, "a closed connection ends its attempt")
    assert works(target)


def held_namespaces() -> set[str]:
    """Network namespaces that any process is in or holds."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(os.readlink(path))
        except OSError:
            continue  # the process has gone meanwhile
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = os.readlink(path)
        except OSError:
            continue
        if target.startswith("net:["):
            found.add(target)
    return found


def test_kill_9_leaves_nothing(tmp_path: Path) -> None:
    process, address = start(address=str(tmp_path / "bench.sock"))
    mine = {os.readlink(space) for space in namespaces_of(process.pid)} | {os.readlink(f"/proc/{process.pid}/ns/net")}
    assert len(mine) > len(list(CAMPUS.iterdir()))
    router = os.open(namespaces_of(process.pid)[0], os.O_RDONLY)  # keeps this one alive for inspection
    process.kill()
    process.communicate(timeout=patience(10))
    descriptor_path = f"/proc/self/fd/{router}"
    links = ["nsenter", f"--net={descriptor_path}", "ip", "-o", "link", "show", "type", "veth"]
    if os.getuid() == 0:
        wait_until(
            lambda: not subprocess.run(links, pass_fds=[router], capture_output=True, check=True).stdout, 3, "veths go"
        )
    os.close(router)
    wait_until(lambda: not held_namespaces() & mine, 1, "namespaces go")
    again, _ = start(address=address)  # a socket file without a listener does not block a new bench
    again.send_signal(signal.SIGTERM)
    assert again.wait(patience(10)) == 0
    assert not Path(address).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_exits_0_at_once(number: signal.Signals) -> None:
    process, address = start()
    client = BenchClient(address, 5)
    with client.attempt(run_id="a", mode="quick", lane=32, fence=1) as opened:
        wait_until(lambda: client.status().attempts, 5, "it is admitted")
        process.send_signal(number)
        started = time.monotonic()
        out, err = process.communicate(timeout=patience(10))
        assert (process.returncode, err) == (0, ""), out
        assert time.monotonic() - started < patience(2)
        with pytest.raises(BenchError) as lost:
            opened.quick(YES.source, YES.destination, parsed(YES.service))
        assert lost.value.code == "lost"
    with pytest.raises(BenchError) as gone:
        client.status()
    assert gone.value.code == "unavailable"


def test_who_was_not_admitted_yet_has_lost_nothing(tmp_path: Path) -> None:
    """A bench that is killed resets connections it has not taken yet; its successor may be asked the same thing again."""
    path = str(tmp_path / "bench.sock")
    client, ended = BenchClient(path, 5), list[str]()

    def ask() -> None:
        with pytest.raises(BenchError) as gone, client.attempt(run_id="a", mode="quick", lane=32, fence=1) as attempt:
            attempt.quick(YES.source, YES.destination, parsed(YES.service))
        ended.append(gone.value.code)

    dying = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dying.bind(path)
    dying.listen(8)
    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    taken, _ = dying.accept()
    assert b"attempt" in taken.recv(4096)
    taken.close()  # one that was accepted but not answered, two that were not accepted
    dying.close()
    for thread in asking:
        thread.join(patience(5))
    assert ended == ["unavailable"] * 3


def test_a_second_bench_on_one_address_is_refused(tmp_path: Path) -> None:
    for address in ("", str(tmp_path / "bench.sock")):
        first, address = start(address=address)
        with pytest.raises(AssertionError, match=r"exit 1: bench: cannot listen on .*another bench") as refused:
            start(address=address)
        assert "Traceback" not in str(refused.value)
        assert BenchClient(address, 5).status().pid == first.pid
        first.terminate()
        first.communicate(timeout=patience(10))


def test_a_socket_s_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"exit 1: bench: cannot listen on") as refused:
        start(address="@" + "x" * 200)
    assert "Traceback" not in str(refused.value)


@pytest.mark.skipif(os.getuid() != 0, reason="every other test has shown it already")
def test_without_root_the_verdicts_are_the_same() -> None:
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    asks = [(c.source, c.destination, parsed(c.service), c.source_port) for c in CELLS]
    code = (
        "import json, sys; from netlab.results.codec import encode; from netlab.service.client import BenchClient\n"
        "for n, (source, destination, services, port) in enumerate(json.load(sys.stdin), start=1):\n"
        "    with BenchClient(sys.argv[1], 10).attempt(run_id='n', mode='quick', lane=32, fence=n) as attempt:\n"
        "        print(encode(attempt.quick(source, destination, services, source_port=port)).decode())\n"
    )
    with readable_by_all(ROOT / "netlab", CAMPUS) as copy:
        as_nobody = (*nobody, "env", f"PYTHONPATH={copy}")
        process, address = start(copy / CAMPUS.name, before=as_nobody, python=PYTHON)
        with ended(process):
            done = subprocess.run(
                [*as_nobody, PYTHON, "-c", code, address],
                input=json.dumps(asks),
                capture_output=True,
                text=True,
                check=True,
            )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    seen = [(r["verdict"], tuple(r["path"]), tuple(r["services"][0]["blocked_by"])) for r in results]
    assert seen == [(cell.verdict, cell.path, cell.blocked_by) for cell in CELLS]


def test_one_router_alone(tmp_path: Path) -> None:
    write_router(tmp_path, "r1", {})
    with running_bench(tmp_path) as bench:
        assert bench.quick("10.0.0.1", "10.0.0.2", "80/tcp")["verdict"] == "UNKNOWN"


def test_told_to_quit_it_ends_in_order_and_sends_away_whom_it_serves() -> None:
    process, address = start()
    client = BenchClient(address, 5)
    admitted = [attempt(40, 1), attempt(41, 1), {**attempt(0, 1), "mode": "detailed"}]
    with ended(process), contextlib.ExitStack() as lines:
        served = [lines.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) for _ in admitted]
        for line, request in zip(served, admitted, strict=True):
            with socket_address(address) as name:
                line.connect(name)
            assert say(line, request) == {"ok": True}
        client.quit()
        for line in served:
            reply = json.loads(line.makefile().readline())
            assert (reply["ok"], reply["code"]) == (False, "restarting")
            assert line.recv(1) == b"", "and that is the end of it"
        out, err = process.communicate(timeout=patience(5))
        assert (process.returncode, err) == (0, ""), out
    with pytest.raises(BenchError) as gone:
        client.quit()
    assert gone.value.code == "unavailable"
