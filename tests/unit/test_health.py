"""The health of the processes, from what Redis reports: one table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.bench.diagnosis import assess, span
from ledger.bench.health import Expected, HostReport, Life, Observed, Times, WorkerRecord
from ledger.redis.suitability import Finding, Level
from ledger.runs.records import Pause
from ledger.runs.run import Mode

NOW = 1_700_000_000_000
TIMES = Times(lease_ms=3000, leader_ms=1500, run_timeout_ms=30_000)


def worker(number: int = 1, mode: str = "quick", *, ago_ms: int = 100, **more: Any) -> WorkerRecord:
    record = WorkerRecord(f"main-{mode}-{number}", mode, "bench1", 4000 + number, NOW - ago_ms)
    return replace(record, **more)


def bench(state: str = "up", error: str = "", *, ms: int = NOW - 900, **more: Any) -> HostReport:
    return HostReport(state=state, error=error, reported_ms=ms, **more)


BULK = worker(1, "bulk")
GOOD = Observed(
    now_ms=NOW,
    leader="ops1-812-ab12",
    epoch=3,
    dispatchers={"ops1-812-ab12": NOW - 200, "ops2-90-cd34": NOW - 300},
    workers=(worker(1), worker(2), worker(1, "detailed"), BULK),
    hosts=(bench(),),
)
EVERY = set(Mode)
PAUSED = Pause("ops", "new facts", NOW)


def test_all_is_well() -> None:
    health = assess(GOOD, TIMES)
    assert health.troubles == ()
    assert health.followers == ("ops2-90-cd34",)
    assert [health.count(mode) for mode in Mode] == [2, 1, 1]
    assert health.for_a_new_run == "A new run starts at once."
    assert {health.why_not(mode) for mode in Mode} == {""}


RUNNING_LONG: dict[str, Any] = {"run": "r", "run_state": "running", "run_since_ms": NOW - 36_000}
CASES = {
    "one of two hosts is down": (
        {"hosts": (bench(), bench("away", "no bench answers", host="b2"))},
        [("bench-down", Level.WARNING, set())],
        "one of the hosts: the bench is down; host b2: no bench answers",
    ),
    "a drained host does not count": (
        {"hosts": (bench(), bench("away", host="b2", drained=True))},
        [],
        "",
    ),
    "both hosts are down": (
        {"hosts": (bench("away", "no facts", host="b1"), bench("away", "no bench", host="b2"))},
        [("bench-down", Level.BLOCKING, EVERY), ("bench-down", Level.BLOCKING, EVERY)],
        "one of the hosts: the bench is down; host b1: no facts",
    ),
    "all hosts are drained": (
        {"hosts": (bench(host="b1", drained=True), bench(host="b2", drained=True))},
        [("hosts-drained", Level.BLOCKING, EVERY)],
        "every host is drained for maintenance; end the maintenance: `reachq host resume b1` or `reachq host resume b2`",
    ),
    "no dispatcher ever": (
        {"leader": "", "dispatchers": {}},
        [("no-dispatcher", Level.BLOCKING, EVERY)],
        "no dispatcher leads; start `python -m compat_dispatcher`",
    ),
    "followers that have not taken over yet": (
        {"leader": ""},
        [("no-leader", Level.BLOCKING, EVERY)],
        "one of the 2 running dispatchers will take over within 2 s",
    ),
    "a dispatcher that was stopped": (
        {"leader": "", "dispatchers": {"ops1-812-ab12": NOW - 12_400}},
        [("dispatcher-silent", Level.BLOCKING, EVERY)],
        "the last heartbeat of a dispatcher was 12 s ago; start `python -m compat_dispatcher`; "
        "if process 812 on ops1 still exists, it hangs: `kill -9 812` ends it",
    ),
    "a lock that outlives its holder": (
        {"dispatchers": {"ops1-812-ab12": NOW - 60_000}},
        [("leader-silent", Level.BLOCKING, EVERY)],
        "`kill -9 812` on ops1 ends it, and another dispatcher takes over",
    ),
    "a leader that does not act": (
        {"unseen_ms": NOW - 7000},
        [("leader-idle", Level.BLOCKING, EVERY)],
        "this has lasted 7 s: `kill -9 812` on ops1",
    ),
    "a run that was just submitted": ({"unseen_ms": NOW - 2000}, [], ""),
    "a bench that has never reported": (
        {"hosts": (HostReport(),)},
        [("bench-unknown", Level.BLOCKING, set())],
        "the bench has never reported; start `python -m netlab`",
    ),
    "a bench that is down": (
        {"hosts": (bench("away", "no bench answers at main.sock"),)},
        [("bench-down", Level.BLOCKING, EVERY)],
        "the bench is down; no bench answers at main.sock",
    ),
    "a bench that restarts": (
        {"hosts": (bench("restarting"),)},
        [("bench-down", Level.BLOCKING, EVERY)],
        "the bench is restarting; ",
    ),
    "a silent reporter": (
        {"hosts": (bench(ms=NOW - 65_000),)},
        [("bench-silent", Level.BLOCKING, EVERY)],
        "the bench is silent: no worker pool reports its state, last report 65 s ago; ",
    ),
    "a report from the future": (
        {"hosts": (bench(ms=NOW + 3_600_000),)},
        [("bench-silent", Level.BLOCKING, EVERY)],
        "the bench is silent",
    ),
    "no worker at all": (
        {"workers": ()},
        [("no-worker", Level.BLOCKING, EVERY)],
        "no worker is running; start `python -m workers` on the host of the bench",
    ),
    "a pool without detailed workers": (
        {"workers": (worker(1), BULK)},
        [("no-worker", Level.WARNING, {Mode.DETAILED})],
        "no detailed worker is running; start",
    ),
    "the only detailed worker is silent": (
        {"workers": (worker(1), worker(1, "detailed", ago_ms=12_000), BULK)},
        [("worker-silent", Level.BLOCKING, {Mode.DETAILED})],
        "the only detailed worker is silent, last heartbeat 12 s ago; "
        "`kill -9 4001` on bench1 (main-detailed-1) ends it, and its pool starts another; if there is no pool, start",
    ),
    "a heartbeat from the future": (
        {"workers": (worker(1), worker(1, "detailed", ago_ms=-3_600_000), BULK)},
        [("worker-silent", Level.BLOCKING, {Mode.DETAILED})],
        "the only detailed worker is silent",
    ),
    "one of two quick workers is silent": (
        {"workers": (worker(1), worker(2, ago_ms=5000), worker(1, "detailed"), BULK)},
        [("worker-silent", Level.WARNING, set())],
        "1 of 2 quick workers is silent, last heartbeat 5 s ago; `kill -9 4002` on bench1 (main-quick-2)",
    ),
    "all quick workers are silent": (
        {"workers": (*(worker(n, ago_ms=n * 5000) for n in range(1, 6)), worker(1, "detailed"), BULK)},
        [("worker-silent", Level.BLOCKING, {Mode.QUICK})],
        "all 5 quick workers are silent, last heartbeat 5 s ago; `kill -9 4001` on bench1 (main-quick-1), "
        "`kill -9 4002` on bench1 (main-quick-2), `kill -9 4003` on bench1 (main-quick-3) and 2 more end them",
    ),
    "a worker that did not begin what it was given": (
        {"workers": (worker(1), worker(1, "detailed", missed_ms=NOW - 500), BULK)},
        [("worker-hung", Level.BLOCKING, {Mode.DETAILED})],
        "the only detailed worker hangs; `kill -9 4001` on bench1 (main-detailed-1) ends it, and its pool starts another",
    ),
    "a worker that does not end its run": (
        {"workers": (worker(1), worker(2, **RUNNING_LONG), worker(1, "detailed"), BULK)},
        [("worker-hung", Level.WARNING, set())],
        "1 of 2 quick workers hangs; `kill -9 4002`",
    ),
    "a run within its time limit": (
        {"workers": (worker(1, run="r", run_state="running", run_since_ms=NOW - 29_000), worker(1, "detailed"), BULK)},
        [],
        "",
    ),
    "a hung one beside a silent one": (
        {"workers": (worker(1, missed_ms=NOW), worker(2, ago_ms=9000), worker(1, "detailed"), BULK)},
        [("worker-hung", Level.BLOCKING, {Mode.QUICK}), ("worker-silent", Level.BLOCKING, {Mode.QUICK})],
        "1 of 2 quick workers hangs; ",
    ),
    "a full Redis": (
        {"findings": (Finding("redis-full", Level.BLOCKING, "Redis has no memory left", "raise maxmemory"),)},
        [("redis-full", Level.BLOCKING, EVERY)],
        "Redis has no memory left; raise maxmemory",
    ),
    "an evicting Redis": (
        {"findings": (Finding("redis-evicts", Level.WARNING, "Redis deletes keys", "do not"),)},
        [("redis-evicts", Level.WARNING, set())],
        "Redis deletes keys; do not",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_troubles(name: str) -> None:
    changed, expected, words = CASES[name]
    health = assess(replace(GOOD, **changed), TIMES)  # type: ignore[arg-type]
    assert [(trouble.code, trouble.level, set(trouble.modes)) for trouble in health.troubles] == expected
    if expected:
        assert words in str(health.troubles[0])
    for trouble in health.troubles:
        for inside in ("bench1", "ops1", "812", "4001", "main.sock", "`"):
            assert inside not in trouble.sentence, "anybody may read it"


def test_no_worker_and_a_hung_worker_are_two_sentences() -> None:
    none = assess(replace(GOOD, workers=(worker(1), BULK)), TIMES)
    hung = assess(replace(GOOD, workers=(worker(1), worker(1, "detailed", missed_ms=NOW), BULK)), TIMES)
    silent = assess(replace(GOOD, workers=(worker(1), worker(1, "detailed", ago_ms=9000), BULK)), TIMES)
    reasons = [health.why_not(Mode.DETAILED) for health in (none, hung, silent)]
    assert reasons == [
        "no detailed worker is running",
        "the only detailed worker hangs",
        "the only detailed worker is silent, last heartbeat 9 s ago",
    ]
    assert "`kill -9 4001` on bench1" in hung.why_not(Mode.DETAILED, remedy=True)
    assert [
        health.count(Mode.DETAILED, life)
        for health, life in ((none, Life.ALIVE), (hung, Life.HUNG), (silent, Life.SILENT))
    ] == [0, 1, 1]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"paused": PAUSED}, "A new run waits until the bench is resumed."),
        (
            {"paused": PAUSED, "leader": "", "dispatchers": {}},
            "A new run cannot start: no dispatcher leads.",
        ),
        ({"leader": "", "dispatchers": {}}, "A new run cannot start: no dispatcher leads."),
        (
            {"workers": (worker(1), BULK)},
            "A new quick or bulk run starts at once; a detailed run cannot start: no detailed worker is running.",
        ),
        (
            {"workers": (worker(1, ago_ms=9000), BULK)},
            "A new bulk run starts at once; a quick run cannot start: the only quick worker is silent, last heartbeat 9 s"
            " ago; a detailed run cannot start: no detailed worker is running.",
        ),
        (
            {"workers": (worker(1, ago_ms=9000),)},
            "A new quick run cannot start: the only quick worker is silent, last heartbeat 9 s ago."
            " A new detailed run cannot start: no detailed worker is running."
            " A new bulk run cannot start: no bulk worker is running.",
        ),
        ({"workers": ()}, "A new run cannot start: no worker is running."),
        ({"hosts": (HostReport(),)}, "A new run starts at once."),
    ],
)
def test_what_happens_to_a_new_run(changed: dict[str, object], expected: str) -> None:
    assert assess(replace(GOOD, **changed), TIMES).for_a_new_run == expected  # type: ignore[arg-type]


def test_a_start_waits_for_all_workers_and_for_new_reports() -> None:
    def missing(seen: Observed, expected: Expected) -> list[str]:
        return [trouble.sentence for trouble in assess(seen, TIMES, expected).blocking]

    assert missing(GOOD, Expected(workers=4, since_ms=NOW - 950)) == []
    assert missing(GOOD, Expected(workers=33)) == ["only 4 of 33 workers are running"]
    assert missing(GOOD, Expected(workers=4, since_ms=NOW - 50)) == [
        "no worker is running",
        "the bench has never reported",
    ]
    before = replace(GOOD, workers=(*GOOD.workers, worker(2, "detailed", ago_ms=60_000)))
    assert missing(before, Expected(workers=4, since_ms=NOW - 30_000)) == []


def test_a_pause_is_a_reason_and_no_trouble() -> None:
    health = assess(replace(GOOD, paused=PAUSED), TIMES)
    assert health.troubles == ()
    assert health.why_not(Mode.QUICK) == "the bench is paused by ops: new facts"


def test_spans() -> None:
    assert [span(ms) for ms in (-5, 900, 119_999, 120_000, 7_200_000)] == ["0 s", "0 s", "119 s", "2 min", "2 h"]
