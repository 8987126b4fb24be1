"""`reachq up` for its users: a first result, and nothing left however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from ledger.settings import load_settings
from ledger.store import Ledger
from netlab.facts import reader
from tests.support.bench_report import reported
from tests.support.patience import patience
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.system.running import CAMPUS, REACHQ, ROOT, System, as_nobody, clean_environment, copy_network

QUESTION = ("10.1.10.20", "10.3.20.8", "22,443")
Starter = Callable[..., System]
OF_BENCHES = ["bench-main.sock", "benches.sock", f"-{reader.load(CAMPUS).digest}.sock"]
"""Ends of the names of the sockets that a bench and its service leave when they are killed."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts systems, by default on the same data folder, and checks that none outlives the test."""
    started: list[System] = []

    def starter(data: Path = tmp_path / "data", **given: object) -> System:
        started.append(System(data, **given))  # type: ignore[arg-type]
        return started[-1]

    yield starter
    for system in started:
        system.close()


def namespaces(processes: Iterable[psutil.Process]) -> set[str]:
    """Network namespaces these processes are in or hold open, but for the one we are in ourselves."""
    found = set()
    for process in processes:
        folder = Path(f"/proc/{process.pid}")
        with contextlib.suppress(OSError):
            for link in [folder / "ns" / "net", *(folder / "fd").iterdir()]:
                with contextlib.suppress(OSError):
                    found.add(os.readlink(link))
    return {name for name in found if name.startswith("net:")} - {os.readlink("/proc/self/ns/net")}


def answers(system: System) -> bool:
    """Whether a test gets a verdict; exit code 1, since one of the two services is blocked."""
    return system.run("submit", *QUESTION, "--wait").returncode == 1


def serves(system: System) -> bool:
    """Whether the web server reports that it is ready."""
    try:
        with urllib.request.urlopen(f"{system.url}/readyz", timeout=patience(5)) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def open_to_others(folder: Path) -> list[str]:
    """What other users have any right to: the folder itself and everything in it, sockets too."""
    found = (path for path in (folder, *folder.rglob("*")) if not path.is_symlink())
    return [f"{path} {path.stat().st_mode:o}" for path in found if path.stat().st_mode & 0o077]


def test_first_answer_then_ctrl_c(start: Starter) -> None:
    system = start(quick=32).ready()
    networks = namespaces(system.parts())
    assert len(networks) >= 12, "one for each router, and the bench's own"
    text = system.output
    assert "10.1.10.20 → 10.3.20.8  NO" in text
    assert "22/tcp from 10.1.10.20 to 10.3.20.8 is blocked by dc-fw" in text
    assert (system.data / "token").read_text().strip() in text
    assert text.count(f"first start: sign in at {system.url} as admin with the password ") == 1
    (password,) = re.findall(r"as admin with the password (\S+);", text)
    assert f"sign in as admin, password {password}\n" in text[text.index("everything is up") :]
    assert "WARNING" not in text
    assert (system.data / "redis.log").exists()
    assert open_to_others(system.data) == []
    assert serves(system)
    assert len(system.parts("-m workers")) >= 33
    assert len(system.parts("-m compat_dispatcher")) == 2
    assert system.end(signal.SIGINT) == 0
    system.assert_gone(timeout_s=1)
    assert not namespaces(psutil.process_iter()) & networks


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_ends_as_well_by(start: Starter, number: signal.Signals) -> None:
    system = start().ready()
    assert system.end(number) == 0
    system.assert_gone(timeout_s=1)


def test_ends_in_the_middle_of_starting(start: Starter) -> None:
    system = start()
    wait_until(lambda: system.parts("-m netlab"), 30, "the bench is being started")
    assert system.end(signal.SIGINT) == 0
    system.assert_gone(timeout_s=1)


def test_kill_9_of_up_leaves_nothing(start: Starter) -> None:
    system = start().ready()
    networks = namespaces(system.parts())
    system.end(signal.SIGKILL)
    system.assert_gone(but=OF_BENCHES)  # no process listens there; see the next test
    assert not namespaces(psutil.process_iter()) & networks


def test_kill_9_of_everything_leaves_nothing_and_loses_nothing(start: Starter) -> None:
    system = start().ready()
    assert answers(system)
    runs = system.run("list", "--json").stdout
    for process in [*system.parts("valkey-server"), *system.parts()]:  # the server first: it cannot shut down cleanly
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    system.process.wait(patience(10))
    # A name in the file system outlives a server that was killed; nobody listens there any more.
    system.assert_gone(but=["redis.sock", *OF_BENCHES])
    with socket.socket(socket.AF_UNIX) as knocking, pytest.raises(ConnectionRefusedError):
        knocking.connect(str(system.data / "redis.sock"))
    assert system.run("queue").returncode == 4

    again = start(options=["--no-first"]).ready()
    assert again.run("list", "--json").stdout == runs
    assert answers(again)
    assert again.end() == 0
    again.assert_gone(timeout_s=1)


@pytest.mark.parametrize("part", ["-m app", "-m netlab", "-m workers", "-m compat_dispatcher", "valkey-server"])
def test_what_dies_is_started_again(start: Starter, part: str) -> None:
    system = start(options=["--no-first"]).ready()
    before = {process.pid for process in system.parts(part)}
    assert before
    for process in system.parts(part):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended with its parent
            process.kill()
    wait_until(
        lambda: len({process.pid for process in system.parts(part)} - before) >= len(before),
        20,
        f"{part} is there again",
    )
    wait_until(lambda: answers(system), 30, "a question is answered")
    wait_until(lambda: serves(system), 20, "web answers")
    assert system.end() == 0
    system.assert_gone(timeout_s=1)


def test_a_bench_started_anew_on_request_answers_what_the_old_one_was_asked(start: Starter) -> None:
    system = start(options=["--no-first"]).ready()
    many = ("submit", *QUESTION[:2], "8000-8049", "--mode", "detailed", "--json")
    with Ledger.connect(load_settings(data=system.data)) as record:
        before = reported(record).pid
        assert system.run("bench", "restart").returncode == 130, "nobody is there to confirm it"
        ids = [json.loads(system.run(*many).stdout)["id"] for _ in range(3)]
        done = system.run("bench", "restart", "--yes")
        assert (done.returncode, done.stdout) == (0, "restart requested\n")
        wait_until(lambda: reported(record).pid not in (0, before), 15, "another bench is there")
        wait_until(lambda: all(record.run(run_id).verdict for run_id in ids), 30, "all are answered")
        assert {record.run(run_id).attempt for run_id in ids} == {1}
        assert record.take_restart() is None
    assert " ended (exit 0), starting it again" in system.output
    assert system.end() == 0
    system.assert_gone(timeout_s=1)


def test_one_system_for_a_data_folder(start: Starter) -> None:
    first = start(options=["--no-first"]).ready()
    second = start(options=["--no-first"])
    assert second.process.wait(patience(10)) == 1
    assert f"(pid {first.process.pid})" in second.output
    assert "--data" in second.output
    assert "Traceback" not in second.output
    assert answers(first)
    assert first.end() == 0


def test_without_root(start: Starter) -> None:
    with tempfile.TemporaryDirectory(prefix="reachq-nobody-") as folder:
        prefix = as_nobody(Path(folder))
        system = start(Path(folder) / "data", prefix=prefix, cwd=Path("/")).ready()
        assert "10.1.10.20 → 10.3.20.8  NO" in system.output
        (bench,) = system.parts("-m netlab --network")
        assert bench.uids().real != 0 or prefix[:1] == ["unshare"]
        assert system.end() == 0
        system.assert_gone(timeout_s=1)

        again = start(Path(folder) / "data", prefix=prefix, cwd=Path("/")).ready()
        networks = namespaces(again.parts())
        again.end(signal.SIGKILL)
        again.assert_gone(but=OF_BENCHES)
        assert not namespaces(psutil.process_iter()) & networks


def test_on_a_redis_of_ones_own(start: Starter, server: Server) -> None:
    system = start(settings={"REACHQ_REDIS_URL": server.url}).ready()
    assert not system.parts("valkey-server")
    assert answers(system)
    assert system.end() == 0
    system.assert_gone(timeout_s=1)
    assert server.answers()


def test_on_another_network_it_asks_what_makes_sense_there(start: Starter, tmp_path: Path) -> None:
    network = copy_network(tmp_path / "small", "hq-core", "hq-gw")
    system = start(options=["--network", str(network)]).ready()
    assert "2 routers" in system.output
    assert " → " in system.output.split("everything is up")[1]
    assert system.end() == 0


def test_honcho_runs_the_same_procfile(start: Starter, server: Server, tmp_path: Path) -> None:
    bin_ = Path(sys.executable).parent
    system = start(
        argv=[bin_ / "honcho", "start", "--no-colour"],
        settings={
            "REACHQ_REDIS_URL": server.url,
            "REACHQ_PORT": "0",
            "REACHQ_DATA": str(tmp_path / "data"),
            "PATH": f"{bin_}:{os.environ['PATH']}",
        },
    )
    wait_until(lambda: "bench ready" in system.output, 30, "the bench is up")
    wait_until(lambda: answers(system), 30, "a question is answered")
    system.end(signal.SIGINT, timeout_s=15)
    system.assert_gone()


REFUSALS: dict[str, tuple[list[str], int, str]] = {
    "port in use": (["--port", "{port}"], 1, "choose another with --port"),
    "no such network": (["--network", "/nowhere/at/all"], 2, "no such folder"),
    "network without routers": (["--network", "{empty}"], 2, "holds no router folder"),
    "bad port": (["--port", "99999"], 2, "99999"),
    "data is a file": (["--data", "{file}"], 2, "is a file"),
    "data cannot be made": (["--data", "/proc/reachq"], 1, "choose another with --data"),
    "path too long": (["--data", "{empty}/" + "x" * 120], 1, "use a shorter one"),
}


def test_refuses_a_redis_that_does_not_answer(tmp_path: Path) -> None:
    done = subprocess.run(
        [REACHQ, "up", "--data", tmp_path / "data", "--network", CAMPUS],
        env={**clean_environment(), "REACHQ_REDIS_URL": f"unix://{tmp_path}/none.sock"},
        capture_output=True,
        text=True,
        timeout=patience(30),
        check=False,
    )
    assert done.returncode == 1
    assert "the Redis server in REACHQ_REDIS_URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("case", REFUSALS)
def test_refuses_with_a_remedy_and_starts_nothing(case: str, tmp_path: Path) -> None:
    options, code, message = REFUSALS[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {"port": taken.getsockname()[1], "empty": tmp_path / "empty", "file": tmp_path / "file"}
        done = subprocess.run(
            [str(REACHQ), "up", "--data", str(tmp_path / "data"), "--network", str(CAMPUS), "--port", "0"]
            + [option.format(**names) for option in options],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=patience(30),
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == code, done
    assert message in done.stderr
    assert done.stderr.startswith("reachq: ")
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_refuses_a_folder_of_another_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder that belongs to another user")
    with tempfile.TemporaryDirectory(prefix="reachq-other-") as folder:
        os.chown(folder, 4242, 4242)
        done = subprocess.run(
            [REACHQ, "up", "--data", folder, "--network", CAMPUS],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=patience(30),
            check=False,
        )
        assert done.returncode == 1
        assert "belongs to user 4242" in done.stderr
        assert not os.listdir(folder)


def test_says_what_keeps_a_part_from_starting(start: Starter, tmp_path: Path) -> None:
    """The kernel refuses a rule: the system ends, and its last line names the router, the file and the line."""
    network = copy_network(tmp_path / "broken", "hq-core")
    rules = network / "hq-core" / "iptables.rules"
    rules.write_text("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp --dport banana -j DROP\nCOMMIT\n")
    system = start(options=["--network", str(network)])
    assert system.process.wait(patience(30)) == 1
    assert "hq-core/iptables.rules:3" in system.output
    assert "Traceback" not in system.output
    system.assert_gone(timeout_s=1)
