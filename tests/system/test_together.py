"""Quick and detailed runs from several clients at once: nothing overlaps a detailed run, the order is kept, results are
right.

Proven twice, by the event stream of the queue and by the bench's own journal. Then without the queue.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ledger.events import Kind
from ledger.runs.run import Mode, State
from ledger.settings import Settings
from ledger.store import Ledger
from netlab.service.client import BenchClient
from netlab.service.replies import JournalEntry
from tests.bench.conftest import Bench, as_json, parsed, running_bench
from tests.conftest import missing
from tests.support import history
from tests.support.lost_replies import CAMPUS, UNANSWERED, lossy_campus
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.turns import out_of_turn
from tests.support.waiting import wait_until
from tests.support.web import Web

CLIENTS, ROUNDS = 4, 5
QUICK = [
    ("10.1.10.20", "10.3.20.8", "22,443,53/udp"),
    ("10.2.10.9", "10.3.20.53", "53,443/tcp"),
    ("10.1.99.10", "10.3.20.8", "22,1521"),
    ("203.0.113.77", "203.0.113.3", "80,443,2222,5060/udp"),
]
DETAILED = [
    ("10.1.10.20", "10.3.20.8", "22,443,53/udp"),
    ("10.1.10.20", "8.8.8.8", "80,81"),
    ("203.0.113.77", "203.0.113.3", "80,2222,5060/udp"),
    ("10.1.99.10", "10.2.10.9", "22"),
    ("10.3.20.8", "10.1.20.5", "5060/udp,22"),
]
ASKED = [*((Mode.QUICK, question) for question in QUICK * 5), *((Mode.DETAILED, question) for question in DETAILED)]
Asked = tuple[Mode, tuple[str, str, str]]


def found(document: dict[str, Any]) -> dict[str, Any]:
    """The findings of a result: without the fields of the run itself, and without times."""
    own = {"run_id", "dscp", "timing_ms", "source_port"}
    services = [{k: v for k, v in s.items() if k not in ("latency_ms", "sentence")} for s in document["services"]]
    for service in services:
        service["hops"] = [{**hop, "nat": hop["nat"] is not None} for hop in service.get("hops", ())]
    return {name: value for name, value in document.items() if name not in own | {"sentences"}} | {"services": services}


class System:
    """Everything except the embedded server, as processes; used over HTTP."""

    def __init__(self, parts: Parts, ledger: Ledger, web: Web, folder: Path, overtake_max: int) -> None:
        self.ledger, self._web = ledger, web
        address = f"@reachq-together-{folder.parent.name}-{folder.name}"
        self.bench = BenchClient(address, 5)
        parts.dispatcher(overtake_max=overtake_max)
        bench = parts.start("netlab", "--network", str(CAMPUS), "--socket", address)
        parts.start("workers", quick=8, detailed=1, bench_socket=address)
        wait_until(lambda: parts.alive() == 9, 10, "the workers are there")
        if bench.poll() is not None:
            missing("no bench can be built on this machine")

    def submit(self, asked: Asked) -> str:
        """Submit over HTTP; returns the run's id."""
        mode, (source, destination, services) = asked
        reply = self._web.submit(mode=str(mode), source=source, destination=destination, services=services)
        assert reply.status == 202, reply.body
        return str(reply.json["id"])

    def done(self, runs: list[str]) -> None:
        """Wait until all are answered."""
        left = list(runs)

        def answered() -> bool:
            while left and self.ledger.run(left[-1]).state is State.DONE:
                left.pop()
            return not left

        wait_until(answered, 30, f"{len(runs)} runs are answered")

    def finding(self, run_id: str) -> dict[str, Any]:
        """The findings of a run, over HTTP."""
        return found(self._web.get(f"/api/runs/{run_id}/result").json)


@pytest.fixture
def web(settings: Settings, tmp_path: Path) -> Iterator[Web]:
    server = Web(settings.redis_url, tmp_path)
    yield server
    server.stop()


@pytest.mark.parametrize("overtake_max", [0, 3])
def test_quick_and_detailed_from_four_clients(
    settings: Settings, ledger: Ledger, web: Web, tmp_path: Path, overtake_max: int
) -> None:
    """20 quick and 5 detailed runs, interleaved by chance, five rounds with each of two bounds of overtaking."""
    chance = random.Random(overtake_max)
    answers: dict[str, Asked] = {}
    with Parts(settings) as parts, ThreadPoolExecutor(CLIENTS) as clients:
        system = System(parts, ledger, web, tmp_path, overtake_max)
        alone = {}
        for asked in dict.fromkeys(ASKED):
            run = system.submit(asked)
            system.done([run])
            alone[asked] = system.finding(run)
        begins = len(system.bench.journal())
        for _ in range(ROUNDS):
            deck = chance.sample(ASKED, len(ASKED))
            hands = [deck[client::CLIENTS] for client in range(CLIENTS)]
            runs = clients.map(lambda hand: [(system.submit(asked), asked) for asked in hand], hands)
            answers |= dict(itertools.chain.from_iterable(runs))
            system.done(list(answers)[-len(ASKED) :])
        journal = system.bench.journal()[begins:]
        wrong = {run for run, asked in answers.items() if system.finding(run) != alone[asked]}
    assert not wrong, [(answers[run], ledger.result(run)) for run in wrong][:1]
    assert {doc["verdict"] for doc in alone.values()} == {"YES", "NO"}
    assert len(answers) == ROUNDS * 25
    assert history.incompatible(ledger) == []
    assert out_of_turn(ledger, overtake_max) == []
    assert set(history.count(ledger, Kind.FINISHED).values()) == {1}
    assert overlaps(journal) == []
    expected = Counter({(w, run): 1 for run, (mode, _) in answers.items() for w in SAID[mode]})
    assert Counter((entry.what, entry.run_id) for entry in journal) == expected
    for entry in journal:
        record = ledger.run(entry.run_id)
        assert record.started_ms - 1 <= entry.ms <= record.finished_ms + 1


SAID = {Mode.QUICK: ["quick"], Mode.DETAILED: ["detailed begins", "detailed ends"]}


def overlaps(journal: Sequence[JournalEntry]) -> list[str]:
    """What the bench did for other runs between the begin and the end of a detailed run; waiting does not count."""
    inside, wrong = "", []
    for entry in journal:
        if entry.what == "detailed ends":
            inside = ""
        elif inside and not entry.what.startswith("quick waits"):
            wrong.append(f"{entry.what} of {entry.run_id} during {inside}")
        elif entry.what == "detailed begins":
            inside = entry.run_id
    return wrong


def detailed(bench: Bench, run_id: str, source: str = "10.1.10.20") -> dict[str, Any]:
    """A detailed run sent to the bench without any queue."""
    with bench.client.attempt(run_id=run_id, mode="detailed", lane=None, fence=next(bench.fences)) as attempt:
        return as_json(attempt.detailed(source, "10.3.20.8", parsed("443/tcp,22/tcp"), progress=lambda *step: None))


def quick(bench: Bench, run_id: str, lane: int, source: str, destination: str) -> dict[str, Any]:
    """A quick run sent to the bench without any queue."""
    with bench.client.attempt(run_id=run_id, mode="quick", lane=lane, fence=next(bench.fences)) as attempt:
        return found(as_json(attempt.quick(source, destination, parsed("443/tcp,22/tcp"))))


def waits(journal: Sequence[JournalEntry]) -> dict[str, str]:
    """run -> the router it had to wait for."""
    prefix = "quick waits for "
    return {e.run_id: e.what.removeprefix(prefix) for e in journal if e.what.startswith(prefix)}


LOCKED, FREE = ("10.1.99.10", "10.3.20.8"), ("10.2.10.9", "10.2.20.7")


def test_without_the_queue_the_locks_keep_quick_out(tmp_path: Path) -> None:
    """Quick runs whose way is locked wait until the detailed run has ended; others do not."""
    with running_bench(lossy_campus(tmp_path / "network")) as bench, ThreadPoolExecutor(8) as pool:
        alone = {where: quick(bench, "alone", 32, *where) for where in (LOCKED, FREE)}
        long = pool.submit(detailed, bench, "long", UNANSWERED)
        wait_until(lambda: bench.client.status().locks, 3, "it has its routers")
        locks = set(bench.client.status().locks)
        assert quick(bench, "free-1", 33, *FREE) == alone[FREE]
        on_bench = [pool.submit(quick, bench, f"held-{lane}", lane, *LOCKED) for lane in range(34, 38)]
        wait_until(lambda: len(waits(bench.client.journal())) == 4, 1, "they wait")
        assert quick(bench, "free-2", 38, *FREE) == alone[FREE]
        assert not long.done()
        assert [one.done() for one in on_bench] == [False] * 4
        assert [one.result() for one in on_bench] == [alone[LOCKED]] * 4
        assert long.result()["verdict"] == "NO"
        journal = bench.client.journal()
    order = {(entry.what, entry.run_id): place for place, entry in enumerate(journal)}
    begin, end = order["detailed begins", "long"], order["detailed ends", "long"]
    assert begin < order["quick", "free-1"] < order["quick", "free-2"] < end
    waited = waits(journal)
    assert set(waited) == {f"held-{lane}" for lane in range(34, 38)}
    assert set(waited.values()) <= locks
    assert all(end < order["quick", run] for run in waited)


def test_without_the_queue_a_storm_of_quick_runs_disturbs_no_detailed_one(tmp_path: Path) -> None:
    with running_bench(CAMPUS) as bench, ThreadPoolExecutor(8) as pool:
        alone = quick(bench, "alone", 32, *LOCKED)
        right = found(detailed(bench, "alone"))
        over = threading.Event()

        def stream(lane: int) -> list[dict[str, Any]]:
            numbers = itertools.takewhile(lambda _: not over.is_set(), range(200))
            return [quick(bench, f"{lane}.{number}", lane, *LOCKED) for number in numbers]

        storm = [pool.submit(stream, lane) for lane in range(33, 38)]
        began = time.monotonic()
        results = [found(detailed(bench, f"detailed-{number}")) for number in range(20)]
        over.set()
        answers = [answer for one in storm for answer in one.result()]
        assert time.monotonic() - began < patience(15)
        journal = bench.client.journal()
    assert results == [right] * 20
    assert len(answers) > 50
    assert all(answer == alone for answer in answers)
    assert overlaps(journal) == []
    assert len(waits(journal)) > 5
