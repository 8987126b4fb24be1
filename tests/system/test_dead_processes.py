"""Dead, stopped and hung processes are reported as such by every reader: board, pages, API, /readyz and command line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import psutil
import pytest

from ledger.runs.requests import RunRequest
from ledger.runs.run import Mode, Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.frozen_thread import frozen
from tests.support.parts import Parts
from tests.support.waiting import wait_until
from tests.support.web import Web
from tests.system.running import REACHQ, System, clean_environment

HOST = socket.gethostname()


class Readers:
    """All readers that show the health of the system."""

    def __init__(self, settings: Settings, ledger: Ledger, web: Web) -> None:
        self._web = web
        self._ledger = ledger
        self._environment = clean_environment() | {
            "REACHQ_REDIS_URL": settings.redis_url,
            "REACHQ_DATA": str(settings.data),
            "REACHQ_LEASE_MS": str(settings.lease_ms),
            "REACHQ_RUN_TIMEOUT_S": str(settings.run_timeout_s),
        }

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [REACHQ, *words], env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr

    def page(self, path: str) -> str:
        """The page's text, in which code is between backticks, as in the terminal."""
        markup = self._web.get(path).body.decode().replace("<code>", "`").replace("</code>", "`")
        return " ".join(unescape(markup).split())

    def expect(self, sentence: str, remedy: str, mode: Mode) -> None:
        """Check that each of them shows the sentence, and those for operators also the remedy."""
        wait_until(lambda: sentence in self.page("/readyz"), 20, f"/readyz says {sentence!r}")
        ready = self._web.get("/readyz", token=None)
        assert ready.status == 503
        assert remedy not in ready.body.decode(), "anybody may read it"
        started = sentence[:1].upper() + sentence[1:]
        board = self.page("/board")
        assert f"<strong>{started}" in board
        assert remedy in board
        troubles = [trouble["message"] for trouble in self._web.get("/api/bench").json["troubles"]]
        assert any(sentence in message and remedy in message for message in troubles), troubles
        status = self.command("bench", "status")
        assert sentence in status
        assert remedy in status
        assert sentence in self.command("queue")
        waiting = self.page("/preview")
        assert f"the start time is unknown: {sentence}" in waiting
        self._a_run_that_waits(sentence, remedy, mode)

    def _a_run_that_waits(self, sentence: str, remedy: str, mode: Mode) -> None:
        process = subprocess.Popen(
            [REACHQ, "submit", "10.1.10.20", "10.3.20.8", "443", "--mode", str(mode), "--wait"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        try:
            output = ""
            while sentence not in output:
                line = process.stderr.readline()
                assert line, f"it ended: {output}"
                output += line
            assert remedy in output
            (run,) = [run for run in self._ledger.queue().waiting if run.user == "cli"]
            shown = self.command("show", run.id)
            assert sentence in shown
            assert remedy in shown
            started = sentence[:1].upper() + sentence[1:]
            assert f">{started}" in self.page(f"/runs/{run.id}")
            assert "<dd data-eta>unknown" in self.page(f"/runs/{run.id}")
            self._ledger.cancel(run.id, by="test")
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"run_timeout_s": 2.0})


@pytest.fixture
def web(settings: Settings) -> Iterator[Web]:
    server = Web(settings.redis_url, Path(settings.data), REACHQ_RUN_TIMEOUT_S=str(settings.run_timeout_s))
    yield server
    server.stop()


@pytest.fixture
def readers(settings: Settings, ledger: Ledger, web: Web) -> Readers:
    return Readers(settings, ledger, web)


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    with Parts(settings) as started:
        yield started


def ask(ledger: Ledger, services: str, mode: Mode) -> Run:
    return ledger.submit(RunRequest.parse("10.1.10.20", "10.3.20.8", services, str(mode)), user="anna")[0]


def worker_pid(ledger: Ledger, mode: Mode) -> int:
    (pid,) = [worker.pid for worker in ledger.workers() if worker.mode == mode and worker.alive]
    return int(pid)


def test_no_dispatcher_ever(readers: Readers, parts: Parts) -> None:
    parts.pool(1, 1)
    readers.expect("no dispatcher leads", "start `python -m compat_dispatcher`", Mode.QUICK)


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_the_only_dispatcher_is_stopped_or_killed(readers: Readers, parts: Parts, how: signal.Signals) -> None:
    parts.pool(1, 1)
    dispatcher = parts.dispatcher()
    wait_until(lambda: parts.leader_pid() == dispatcher.pid, 15, "it leads")
    dispatcher.send_signal(how)
    wait_until(lambda: not parts.leader_pid(), 10, "no dispatcher leads")
    remedy = f"if process {dispatcher.pid} on {HOST} still exists, it hangs: `kill -9 {dispatcher.pid}` ends it"
    readers.expect("no dispatcher leads: the last heartbeat of a dispatcher was", remedy, Mode.DETAILED)


def test_no_worker_ever(readers: Readers, parts: Parts) -> None:
    dispatcher = parts.dispatcher()
    wait_until(lambda: parts.leader_pid() == dispatcher.pid, 15, "it leads")
    readers.expect("no worker is running", "start `python -m workers` on the host of the bench", Mode.QUICK)


def test_a_stopped_worker_is_silent_and_the_remedy_works(readers: Readers, parts: Parts, ledger: Ledger) -> None:
    parts.dispatcher()
    parts.pool(1, 1)
    pid = worker_pid(ledger, Mode.DETAILED)
    os.kill(pid, signal.SIGSTOP)
    remedy = f"`kill -9 {pid}` on {HOST} (main-detailed-1) ends it, and its pool starts another"
    readers.expect("the only detailed worker is silent, last heartbeat", remedy, Mode.DETAILED)
    os.kill(pid, signal.SIGKILL)
    run = ask(ledger, "443", Mode.DETAILED)
    parts.in_state(run, State.DONE, 20)
    wait_until(lambda: ledger.health().why_not(Mode.DETAILED) == "", 10, "all is well again")


def test_a_killed_pool(readers: Readers, parts: Parts, ledger: Ledger) -> None:
    parts.dispatcher()
    pool = parts.pool(3, 1)
    pool.kill()
    readers.expect("all 3 quick workers are silent, last heartbeat", "start `python -m workers`", Mode.QUICK)


def test_a_worker_that_does_not_take_its_run_hangs(readers: Readers, parts: Parts, ledger: Ledger) -> None:
    """Its heartbeat continues: it is neither dead nor silent."""
    parts.dispatcher()
    parts.pool(1, 1)
    pid = worker_pid(ledger, Mode.DETAILED)
    with frozen(pid):
        run = ask(ledger, "443", Mode.DETAILED)
        remedy = f"`kill -9 {pid}` on {HOST} (main-detailed-1) ends it, and its pool starts another"
        readers.expect("the only detailed worker hangs", remedy, Mode.DETAILED)
        assert ledger.run(run.id).state is not State.FAILED
        os.kill(pid, signal.SIGKILL)
    parts.in_state(run, State.DONE, 30)
    assert ledger.health().why_not(Mode.DETAILED) == ""


def test_a_worker_that_does_not_end_its_run_hangs(readers: Readers, parts: Parts, ledger: Ledger) -> None:
    parts.dispatcher()
    parts.pool(1, 1, run_timeout_s=2)
    run = ask(ledger, "3", Mode.DETAILED)
    parts.in_state(run, State.RUNNING)
    pid = worker_pid(ledger, Mode.DETAILED)
    remedy = f"`kill -9 {pid}` on {HOST} (main-detailed-1) ends it, and its pool starts another"
    readers.expect("the only detailed worker hangs", remedy, Mode.DETAILED)
    ledger.cancel(run.id, by="test")
    os.kill(pid, signal.SIGKILL)
    parts.in_state(run, State.CANCELLED, 20)


def test_a_stopped_bench_and_a_stopped_reporter(tmp_path: Path) -> None:
    system = System(tmp_path / "data", options=["--no-first"]).ready()
    try:
        (bench,) = [part for part in system.parts("-m netlab") if "netlab" in part.cmdline()[2:]][:1]
        stopped = [bench, *bench.children(recursive=True)]
        for process in stopped:
            process.suspend()
        wait_until(
            lambda: "the bench is down" in system.run("bench", "status").stdout, 20, "the bench is reported down"
        )
        assert "A new run cannot start: the bench is down." in system.run("queue").stdout
        assert "FAILED  bench: the bench is down" in system.run("bench", "doctor").stdout
        for process in stopped:
            process.resume()
        wait_until(lambda: "!" not in system.run("bench", "status").stdout, 20, "all is well again")
        reporter = next(part for part in system.parts("workers") if thread_name(part) == "reporter main")
        reporter.suspend()
        wait_until(lambda: "the bench is silent" in system.run("queue").stdout, 30, "its silence is reported")
        reporter.resume()
        wait_until(lambda: "the bench is silent" not in system.run("queue").stdout, 20, "all is well again")
    finally:
        for process in system.parts():
            process.resume()
        system.end()
        system.assert_gone()
        system.close()


def thread_name(process: psutil.Process) -> str:
    return Path(f"/proc/{process.pid}/comm").read_text().strip()
