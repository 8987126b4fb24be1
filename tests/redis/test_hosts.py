"""Two hosts of one network in Redis: each has its own lanes, its own bench report, and may be drained."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from dscp.pool import Pool
from ledger.errors import BadInput, HostNotFound
from ledger.runs.records import Answer, Choice, Promotion
from ledger.runs.run import Mode, Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.runs import DETAILED, QUICK, kinds, leading, overdue, queue_of, submitted, worker_of

HOUR_MS = 3_600_000


@pytest.fixture
def east(settings: Settings) -> Iterator[Ledger]:
    """The ledger of the processes on host east."""
    with Ledger.connect(settings.model_copy(update={"host_name": "east"})) as other:
        yield other


def worker(host: Ledger, mode: Mode = QUICK, number: int = 0) -> str:
    """Announce a worker of a host; returns its queue."""
    queue = queue_of(mode, number)
    host.announce(worker_of(queue), queue, mode, 1)
    return queue


def promote(ledger: Ledger, run: Run, queue: str) -> Promotion:
    """Promote a run to the worker of a queue."""
    (outcome,) = ledger.promote(leading(ledger), [Choice(run.id, run.mode, queue)])
    return outcome.status


def started(ledger: Ledger, host: Ledger, mode: Mode = QUICK, number: int = 0) -> Run:
    """A run that a worker of a host has begun."""
    run = submitted(ledger, mode)
    queue = worker(host, mode, number)
    assert promote(ledger, run, queue) is Promotion.PROMOTED
    begun = host.begin(run.id, worker_of(queue), queue)
    assert begun is not None
    return begun


def sound(ledger: Ledger) -> bool:
    """Whether the lanes of all hosts are consistent."""
    return not Pool(tuple(ledger.lanes())).problems()


def test_each_host_has_32_lanes(ledger: Ledger, east: Ledger) -> None:
    for number in range(32):
        started(ledger, ledger, number=number)
        started(ledger, east, number=100 + number)
    assert sound(ledger)
    assert [(state.name, state.lanes_in_use, state.running) for state in ledger.hosts()] == [
        ("local", 32, 32),
        ("east", 32, 32),
    ]
    assert {(lane.host, lane.dscp) for lane in ledger.lanes() if lane.leased} == {
        (host, lane) for host in ("local", "east") for lane in range(32, 64)
    }
    assert promote(ledger, submitted(ledger), worker(east, number=200)) is Promotion.NO_SLOT
    assert ledger.counts().lanes == ledger.counts().lanes_in_use == 64


def test_a_detailed_run_has_one_host_to_itself_and_not_the_other(ledger: Ledger, east: Ledger) -> None:
    deep = started(ledger, east, DETAILED)
    assert deep.host == "east"
    quick = submitted(ledger)
    assert promote(ledger, quick, worker(east, number=1)) is Promotion.OCCUPIED
    assert promote(ledger, quick, worker(ledger, number=2)) is Promotion.PROMOTED
    other = submitted(ledger, DETAILED)
    assert promote(ledger, other, worker(ledger, DETAILED, 3)) is Promotion.OCCUPIED
    assert ledger.run(quick.id).host == "local"


@pytest.mark.parametrize("end", ["finish", "cancel", "reap", "give back"])
def test_a_run_returns_the_lane_of_its_host(ledger: Ledger, east: Ledger, client: redis.Redis, end: str) -> None:
    run = started(ledger, east)
    assert client.scard("reachq:main:dscp:leased:east") == 1
    if end == "finish":
        assert east.finish(run.id, run.token, Answer("YES"))
    elif end == "cancel":
        ledger.cancel(run.id)
        assert east.stopped(run.id, run.token)
    elif end == "reap":
        overdue(client, run.id)
        ledger.reap(leading(ledger))
    else:
        east.give_back(run.id, run.token, "the host stops")
    assert client.scard("reachq:main:dscp:leased:east") == 0
    assert client.scard("reachq:main:dscp:free:east") == 32
    assert not client.exists(f"reachq:main:dscp:lane:east:{run.dscp}")
    assert sound(ledger)


def test_a_run_of_a_dead_host_goes_to_the_other_one(ledger: Ledger, east: Ledger, client: redis.Redis) -> None:
    run = started(ledger, east)
    overdue(client, run.id)
    ledger.reap(leading(ledger))
    assert ledger.run(run.id).host == "local", "it has no host while it waits"
    queue = worker(ledger, number=1)
    assert promote(ledger, ledger.run(run.id), queue) is Promotion.PROMOTED
    assert not client.hexists(f"reachq:run:{run.id}", "host")
    assert not east.finish(run.id, run.token, Answer("NO")), "the first attempt is over"
    assert sound(ledger)


def test_a_worker_of_another_host_does_not_begin_the_run(ledger: Ledger, east: Ledger) -> None:
    """It may have claimed the queue in the meantime, but the run has a lane of the first host's bench."""
    run, queue = submitted(ledger), worker(east)
    assert promote(ledger, run, queue) is Promotion.PROMOTED
    assert ledger.begin(run.id, worker_of(queue), queue) is None
    assert east.begin(run.id, worker_of(queue), queue) is not None


def test_each_bench_has_its_own_report_and_restart(ledger: Ledger, east: Ledger, client: redis.Redis) -> None:
    worker(ledger), worker(east, number=1)
    ledger.report_bench({"state": "away", "error": "no facts"})
    east.report_bench({"state": "up", "facts": "abc", "fence": 9})
    view = ledger.view()
    assert {name: host.report.state for name, host in view.hosts.items() if host.report} == {
        "local": "away",
        "east": "up",
    }
    assert ledger.bench_status()["state"] == "up"
    assert [(state.bench, state.error, state.facts) for state in ledger.hosts()] == [
        ("away", "no facts", ""),
        ("up", "", "abc"),
    ]
    assert ledger.counts().bench_up
    assert ledger.restart_bench("anna")
    assert [east.take_restart(), east.take_restart(), ledger.take_restart()] == ["anna", None, "anna"]


def test_a_new_term_continues_above_the_fences_of_all_benches(
    ledger: Ledger, east: Ledger, client: redis.Redis
) -> None:
    worker(east)
    far = 2**50
    east.report_bench({"state": "up", "fence": far})
    leading(ledger)
    assert int(str(client.get("reachq:main:fence"))) >= far


def test_a_drained_host_gets_no_run_until_it_is_resumed(ledger: Ledger, east: Ledger) -> None:
    queue, run = worker(east), submitted(ledger)
    assert ledger.drain_host("east", "anna", "new memory")
    assert not ledger.drain_host("east", "bob", "another reason"), "the first reason stays"
    assert ledger.view().hosts["east"].drained
    assert promote(ledger, run, queue) is Promotion.NO_WORKER
    (state,) = ledger.hosts()
    assert state.drain is not None
    assert (state.drain.by, state.drain.why) == ("anna", "new memory")
    assert ledger.resume_host("east", "bob")
    assert not ledger.resume_host("east", "bob")
    assert promote(ledger, run, queue) is Promotion.PROMOTED
    assert [kind for kind in kinds(ledger) if kind.startswith("host-")] == ["host-drained", "host-resumed"]


def test_a_drain_names_a_known_host_and_has_a_printable_reason(ledger: Ledger, east: Ledger) -> None:
    worker(east)
    with pytest.raises(HostNotFound, match="The hosts are: east"):
        ledger.drain_host("west", "anna")
    with pytest.raises(HostNotFound):
        ledger.resume_host("west", "anna")
    with pytest.raises(BadInput, match="printable"):
        ledger.drain_host("east", "anna", "bell \a")
    assert ledger.drains() == {}


def test_the_audit_repairs_the_lanes_of_each_host(ledger: Ledger, east: Ledger, client: redis.Redis) -> None:
    run = started(ledger, east)
    client.delete(
        "reachq:main:dscp:free:east", "reachq:main:dscp:leased:east", f"reachq:main:dscp:lane:east:{run.dscp}"
    )
    client.sadd("reachq:main:dscp:free:east", "99")
    assert ledger.repair_runs(leading(ledger))
    assert sound(ledger)
    (lane,) = [lane for lane in ledger.lanes() if lane.leased]
    assert (lane.host, lane.dscp, lane.run_id) == ("east", run.dscp, run.id)
    assert east.finish(run.id, run.token, Answer("YES"))
    assert sound(ledger)


def test_a_damaged_record_frees_the_lane_of_its_host(ledger: Ledger, east: Ledger, client: redis.Redis) -> None:
    run = started(ledger, east)
    overdue(client, run.id)
    client.delete(f"reachq:run:{run.id}")
    ledger.examine(leading(ledger), [run.id.encode()])
    assert sound(ledger)
    assert not any(lane.leased for lane in ledger.lanes())


def test_two_runs_with_the_same_lane_on_two_hosts_are_no_conflict(ledger: Ledger, east: Ledger) -> None:
    runs = [started(ledger, ledger, number=number) for number in range(32)]
    runs += [started(ledger, east, number=40 + number) for number in range(32)]
    assert not ledger.examine(leading(ledger), [run.id.encode() for run in runs])
    assert {ledger.run(run.id).state for run in runs} == {State.RUNNING}


def test_a_host_that_was_removed_is_forgotten_after_an_hour(ledger: Ledger, east: Ledger, client: redis.Redis) -> None:
    worker(ledger), worker(east, number=1)
    east.report_bench({"state": "up"})
    client.zadd("reachq:main:hosts", {"east": 1})
    ledger.repair_runs(leading(ledger))
    assert ledger.host_names() == ["local"]
    assert client.keys("reachq:main:*east*") == []


def test_a_host_that_was_given_a_name_is_forgotten_under_the_old_one(
    ledger: Ledger, east: Ledger, client: redis.Redis
) -> None:
    worker(east)
    ledger.report_bench({"state": "up"})
    client.zadd("reachq:main:hosts", {"local": 1})
    ledger.repair_runs(leading(ledger))
    assert client.zrange("reachq:main:hosts", 0, -1) == ["east"]
    assert [host.name for host in ledger.hosts()] == ["east"]
    assert sound(ledger)


def test_a_lost_list_of_hosts_comes_back_with_the_next_heartbeat(
    ledger: Ledger, east: Ledger, client: redis.Redis
) -> None:
    queue = worker(east)
    client.set("reachq:main:hosts", "damaged")
    assert [worker.host for worker in ledger.view().idle[QUICK]] == ["east"], "the rules do not need it"
    assert ledger.repair_keys()
    east.announce(worker_of(queue), queue, QUICK, 1)
    assert ledger.host_names() == ["local", "east"]
