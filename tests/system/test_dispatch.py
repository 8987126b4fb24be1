"""Dispatcher and pool as real processes on a real server; only the test itself is replaced."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from ledger.errors import RunEnded
from ledger.events import Kind
from ledger.runs.run import SINGLE, Mode, Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support import history
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.results import stored
from tests.support.runs import a_request
from tests.support.server import Server
from tests.support.waiting import wait_until

SLOW = "2"
"""Service that keeps the stand-in busy for a minute; `1` makes it fail."""


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    with Parts(settings) as started:
        yield started


def submit(ledger: Ledger, count: int = 1, mode: Mode = Mode.QUICK, services: str = "443") -> list[Run]:
    return [ledger.submit(a_request(mode, services))[0] for _ in range(count)]


def all_done(ledger: Ledger, runs: list[Run], timeout_s: float = 20) -> None:
    left = [run.id for run in runs]

    def done() -> bool:
        while left and ledger.run(left[-1]).state is State.DONE:
            left.pop()
        return not left

    wait_until(done, timeout_s, f"all {len(runs)} runs are done")


def lanes_are_free(ledger: Ledger) -> bool:
    return not any(lane.leased for lane in ledger.lanes())


@pytest.mark.parametrize("mode", SINGLE)
def test_a_run_goes_from_submitted_to_done(ledger: Ledger, parts: Parts, mode: Mode) -> None:
    parts.dispatcher()
    parts.pool(1, 1, hold_ms=0)
    (run,) = submit(ledger, mode=mode)
    done = parts.in_state(run, State.DONE)
    assert (done.verdict, done.attempt) == ("YES", 1)
    result = stored(ledger, run.id)
    assert result is not None
    assert result["dscp"] == done.dscp
    assert (done.dscp is not None) == (mode is Mode.QUICK)
    kinds = [event.kind for event in history.all_events(ledger) if event.run_id == run.id]
    assert kinds == [Kind.SUBMITTED, Kind.PROMOTED, Kind.BEGUN, Kind.FINISHED]


def test_200_quick_runs_fill_the_bench_and_never_more(ledger: Ledger, parts: Parts, client: redis.Redis) -> None:
    parts.dispatcher()
    parts.dispatcher()
    runs = submit(ledger, 200)
    parts.pool(32, 1, hold_ms=50)
    all_done(ledger, runs)
    peak = max(slots[Mode.QUICK] for slots in history.occupancy(ledger))
    assert 28 <= peak <= 32
    assert history.incompatible(ledger) == []
    assert history.count(ledger, Kind.FINISHED) == {run.id: 1 for run in runs}
    assert lanes_are_free(ledger)
    assert list(client.scan_iter("rq:job:*")) == []


def test_modes_never_mix(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher(overtake_max=2)
    parts.pool(8, 1, hold_ms=20)
    modes = [Mode.QUICK, Mode.QUICK, Mode.DETAILED, Mode.QUICK, Mode.DETAILED, Mode.DETAILED]
    runs = [submit(ledger, mode=mode)[0] for mode in itertools.islice(itertools.cycle(modes), 60)]
    all_done(ledger, runs)
    assert history.incompatible(ledger) == []
    assert lanes_are_free(ledger)


def test_runs_start_in_the_order_they_came(ledger: Ledger, parts: Parts) -> None:
    runs = submit(ledger, 20)
    parts.pool(1, hold_ms=0)
    parts.dispatcher()
    all_done(ledger, runs)
    assert list(history.count(ledger, Kind.BEGUN)) == [run.id for run in runs]


@pytest.mark.parametrize(("overtake_s", "overtake_max"), [(1.0, 10_000), (60, 64)], ids=["by time", "by number"])
def test_a_detailed_run_starts_under_an_endless_stream_of_quick_ones(
    ledger: Ledger, parts: Parts, overtake_s: float, overtake_max: int
) -> None:
    parts.dispatcher(overtake_s=overtake_s, overtake_max=overtake_max)
    parts.pool(32, 1, hold_ms=50)
    enough = threading.Event()

    def stream() -> None:
        while not enough.is_set():
            if ledger.queue(limit=1).waiting_total < 50:
                submit(ledger, 20)

    feeder = threading.Thread(target=stream)
    feeder.start()
    try:
        wait_until(lambda: ledger.queue(limit=1).waiting_total > 10, 5, "the stream flows")
        (run,) = submit(ledger, mode=Mode.DETAILED)
        submitted = time.monotonic()
        parts.in_state(run, State.DONE, timeout_s=15)
        waited_s = time.monotonic() - submitted
    finally:
        enough.set()
        feeder.join()
    passed = sum(
        event.kind is Kind.PROMOTED and ledger.run(event.run_id).seq > run.seq
        for event in itertools.takewhile(
            lambda event: not (event.run_id == run.id and event.kind is Kind.PROMOTED), history.all_events(ledger)
        )
    )
    assert passed <= overtake_max
    assert passed > 0
    assert waited_s < min(overtake_s, 5) + 2
    assert history.incompatible(ledger) == []
    wait_until(lambda: ledger.queue(limit=1).waiting_total == 0, 20, "the stream has run out")


def test_no_more_start_than_there_are_workers_and_each_other_says_why(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    parts.pool(3, hold_ms=400)
    runs = submit(ledger, 6) + submit(ledger, mode=Mode.DETAILED)
    wait_until(lambda: all(run.wait_code for run in ledger.queue().waiting), 3, "every reason is written")
    queue = ledger.queue()
    assert len(queue.running) == 3
    assert {run.wait_code for run in queue.waiting} == {"no-worker"}
    assert queue.waiting[-1].wait_reason == "no live detailed worker; start one with python -m workers"
    all_done(ledger, runs[:6])
    assert max(slots[Mode.QUICK] for slots in history.occupancy(ledger)) == 3
    ledger.cancel(runs[6].id)


def test_what_drains_is_said(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher(overtake_max=0)
    parts.pool(4, 1, hold_ms=1000)
    first = submit(ledger, 2)
    for run in first:
        parts.in_state(run, State.RUNNING)
    (deep,) = submit(ledger, mode=Mode.DETAILED)
    (late,) = submit(ledger)
    wait_until(lambda: ledger.run(late.id).wait_reason, 2, "the reason is written")
    assert ledger.run(late.id).wait_reason == f"detailed run {deep.id[:8]} is next; 2 quick runs have to end first"
    assert ledger.run(deep.id).wait_reason == "2 quick runs have to end first"
    all_done(ledger, [*first, deep, late])
    assert list(history.count(ledger, Kind.PROMOTED))[2:] == [deep.id, late.id]


def test_a_pause_drains_the_bench_and_says_why_until_it_is_resumed(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    parts.pool(4, 1, hold_ms=500)
    under_way = submit(ledger, 2)
    for run in under_way:
        parts.in_state(run, State.RUNNING)
    ledger.pause("anna", "new firmware facts")
    late = submit(ledger) + submit(ledger, mode=Mode.DETAILED)
    wait_until(lambda: all(ledger.run(run.id).wait_code == "paused" for run in late), 3, "every reason is written")
    assert ledger.run(late[0].id).wait_reason == "the bench is paused by anna: new firmware facts"
    all_done(ledger, under_way)
    assert {ledger.run(run.id).state for run in late} == {State.PENDING}
    asked = time.monotonic()
    ledger.resume("anna")
    parts.in_state(late[0], State.RUNNING)
    assert time.monotonic() - asked < patience(0.4), "the resumption wakes the dispatcher"
    all_done(ledger, late)


def test_cancel_of_a_waiting_and_of_a_running_run(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    parts.pool(1)
    running, waiting = submit(ledger, 2, services=SLOW)
    parts.in_state(running, State.RUNNING)
    assert ledger.cancel(waiting.id).state is State.CANCELLED
    asked = time.monotonic()
    assert ledger.cancel(running.id).cancelling
    parts.in_state(running, State.CANCELLED)
    assert time.monotonic() - asked < patience(1.5)
    assert lanes_are_free(ledger)
    with pytest.raises(RunEnded):
        ledger.cancel(running.id)
    all_done(ledger, submit(ledger))


def test_a_test_that_breaks_fails_its_run_and_not_the_worker(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    parts.pool(1)
    (broken,) = submit(ledger, services="1")
    failed = parts.in_state(broken, State.FAILED)
    assert failed.error == "ValueError: port 1 breaks the stand-in"
    all_done(ledger, submit(ledger))
    assert len({event.fields.get("worker") for event in history.all_events(ledger) if event.kind is Kind.BEGUN}) == 1


def test_a_test_that_hangs_is_ended(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    parts.pool(1, run_timeout_s=0.5)
    (hung,) = submit(ledger, services=SLOW)
    assert parts.in_state(hung, State.FAILED).error == "timed out after 0.5 s"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [("os.system", ("touch {marker}",)), ("workers.jobs.run", ("another-id",)), ("pathlib.Path.touch", ("{marker}",))],
)
def test_a_worker_runs_nothing_but_runs(
    ledger: Ledger, parts: Parts, server: Server, settings: Settings, function: str, arguments: tuple[str, ...]
) -> None:
    marker = settings.data / "ran"
    parts.dispatcher()
    parts.pool(1)
    with redis.Redis(unix_socket_path=str(server.socket)) as plain:
        queue = Queue(ledger.workers()[0].queue, connection=plain, serializer=JSONSerializer)
        job = queue.enqueue(function, *(text.format(marker=marker) for text in arguments))
        wait_until(lambda: not plain.exists(job.key), 3, "the job is dropped")
        wait_until(lambda: queue.intermediate_queue.get_job_ids() == [], 3, "the job is let go of")
    all_done(ledger, submit(ledger))
    assert not marker.exists()


def test_a_leader_that_is_told_to_stop_resigns(ledger: Ledger, parts: Parts) -> None:
    first = parts.dispatcher()
    wait_until(lambda: parts.leader_pid() == first.pid, 5, "the first leads")
    second = parts.dispatcher()
    wait_until(lambda: psutil.Process(second.pid).net_connections("unix"), 5, "the second has connected")
    first.send_signal(signal.SIGTERM)
    wait_until(lambda: parts.leader_pid() == second.pid, 2, "the second leads")
    assert first.wait(timeout=patience(2)) == 0
    kinds = [event.kind for event in history.all_events(ledger) if event.kind in (Kind.LED, Kind.RESIGNED)]
    assert kinds == [Kind.LED, Kind.RESIGNED, Kind.LED], "the second need not wait until the lock ends"


def test_a_pool_that_is_told_to_stop_gives_its_runs_back_and_goes(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    pool = parts.pool(2)
    (run,) = submit(ledger, services=SLOW)
    parts.in_state(run, State.RUNNING)
    stopped_at = time.monotonic()
    pool.send_signal(signal.SIGINT)
    assert pool.wait(timeout=patience(5)) == 0
    assert time.monotonic() - stopped_at < patience(3)
    assert ledger.workers() == []
    assert ledger.run(run.id).state is State.PENDING
    assert lanes_are_free(ledger)
    ledger.cancel(run.id)


def test_two_pools_share_no_queue(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    parts.pool(2, 1)
    parts.pool(2, 1)
    queues = {worker.queue for worker in ledger.workers()}
    assert queues == {f"main-quick-{n}" for n in range(1, 5)} | {"main-detailed-1", "main-detailed-2"}
    all_done(ledger, submit(ledger, 20))


@pytest.mark.parametrize("module", ["compat_dispatcher", "workers"])
def test_a_bad_setting_is_named(parts: Parts, module: str) -> None:
    assert parts.start(module, lease_ms=1).wait(timeout=patience(5)) == 2


@pytest.mark.parametrize("module", ["compat_dispatcher", "workers"])
def test_a_process_that_was_paused_continues(parts: Parts, module: str) -> None:
    """A pause longer than its wait for signals is not a signal to end."""
    part = parts.dispatcher() if module == "compat_dispatcher" else parts.pool(1)
    time.sleep(1)
    for _ in range(2):
        part.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        part.send_signal(signal.SIGCONT)
        time.sleep(0.5)
    assert part.poll() is None


def test_another_users_run_starts_beside_a_flood(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    parts.pool(1, hold_ms=20)
    anns = [ledger.submit(a_request(), user="ann")[0] for _ in range(120)]
    bobs, _ = ledger.submit(a_request(), user="bob")
    all_done(ledger, [*anns, bobs], timeout_s=60)
    begun = list(history.count(ledger, Kind.BEGUN))
    assert [run for run in begun if run != bobs.id] == [run.id for run in anns]
    assert begun.index(bobs.id) < 70, "32 in the line, and what started before bob's run was submitted"


def test_a_short_line_keeps_all_workers_busy(ledger: Ledger, parts: Parts) -> None:
    """The dispatcher looks again when the whole line has started and more runs have moved up into it."""
    parts.dispatcher(fair_waiting=2, begin_ms=60_000, lease_ms=60_000)  # so that no expiring lease wakes it
    with Ledger.connect(ledger.settings.model_copy(update={"fair_waiting": 2})) as narrow:
        narrow.pause("test")
        parts.pool(6)
        runs = submit(narrow, 12, services=SLOW)
        wait_until(lambda: narrow.counts().workers_alive[Mode.QUICK] == 6, 20, "the pool is there")
        narrow.resume("test")
        wait_until(lambda: narrow.counts().running[Mode.QUICK] == 6, 10, "six runs run")
        for run in runs:
            narrow.cancel(run.id)
        wait_until(lambda: narrow.counts().running[Mode.QUICK] == 0, 10, "all are stopped")


def test_the_first_leader_brings_an_older_store_into_shape(ledger: Ledger, parts: Parts, client: redis.Redis) -> None:
    runs = submit(ledger, 300)
    ids = [run.id for run in runs]
    client.delete("reachq:main:pending:quick", "reachq:main:waiting:quick", "reachq:main:surplus:quick:api")
    client.rpush("reachq:main:pending:quick", *ids)  # as a version without the surplus stored them
    parts.dispatcher()
    wait_until(lambda: ledger.counts().waiting[Mode.QUICK] == 300, 10, "they are counted")
    wait_until(lambda: client.llen("reachq:main:pending:quick") == 64, 10, "the rest is beyond the line")
    parts.pool(8)
    all_done(ledger, runs, timeout_s=60)
    begun = history.count(ledger, Kind.BEGUN)
    assert set(begun) == set(ids)
