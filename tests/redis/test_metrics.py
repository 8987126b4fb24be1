"""The metrics: counted from real events and read from a real server; the dashboard uses no others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from app.integrations.metrics import Metrics
from ledger.events import Event, Kind
from ledger.runs.records import Answer
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support.runs import (
    DETAILED,
    QUICK,
    announced,
    leading,
    overdue,
    promoted,
    running,
    submitted,
)

DASHBOARD: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "grafana" / "reachq.json").read_text())
EVENT = Event("1-0", Kind.SUBMITTED, "run", "main", 1, {"mode": "quick"})


@pytest.fixture
def metrics(ledger: Ledger) -> Metrics:
    return Metrics(ledger)


def samples(metrics: Metrics) -> dict[str, float]:
    """`name{label=value,…}` of every sample, parsed as Prometheus does."""
    page, kind = metrics.exposition()
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def observe_all(metrics: Metrics, ledger: Ledger) -> None:
    for event in ledger.events("0-0", count=10_000):
        metrics.observe(event)


def test_gauges_say_what_there_is_now(ledger: Ledger, metrics: Metrics, client: redis.Redis) -> None:
    before = samples(metrics)
    assert (before["reachq_store_up"], before["reachq_leader_epoch"], before["reachq_bench_up"]) == (1, 0, 0)
    announced(ledger, QUICK, 3)
    announced(ledger, DETAILED)
    running(ledger)
    promoted(ledger, number=1)
    submitted(ledger)
    for _ in range(2):
        submitted(ledger, DETAILED)
    ledger.report_bench({"state": "up"})
    ledger.pause("anna")
    client.zadd("reachq:main:workers", {"main-quick-2": 1})
    now = samples(metrics)
    assert {name: value for name, value in now.items() if before.get(name) != value} == {
        "reachq_lanes_in_use": 2,
        "reachq_waiting{mode=quick}": 1,
        "reachq_waiting{mode=detailed}": 2,
        "reachq_running{mode=quick}": 2,
        "reachq_workers_alive{mode=quick}": 2,
        "reachq_workers_alive{mode=detailed}": 1,
        "reachq_bench_up": 1,
        "reachq_paused": 1,
        "reachq_leader_epoch": 1,
    }
    assert (now["reachq_lanes"], now["reachq_running{mode=detailed}"]) == (32, 0)
    client.hset("reachq:main:status", "reported_ms", 1)
    assert samples(metrics)["reachq_bench_up"] == 0
    ledger.report_bench({"state": "away", "error": "no bench answers"})
    assert samples(metrics)["reachq_bench_up"] == 0


def test_counters_count_what_happened(ledger: Ledger, metrics: Metrics, client: redis.Redis) -> None:
    for verdict in ("YES", "NO", "NO"):
        run = running(ledger)
        ledger.finish(run.id, run.token, Answer(verdict))
    run = running(ledger, DETAILED)
    ledger.fail(run.id, run.token, "why")
    ledger.cancel(submitted(ledger).id)
    run = running(ledger)
    ledger.give_back(run.id, run.token, "the bench is gone")
    ledger.cancel(run.id)
    for lost in (running(ledger), promoted(ledger, number=1)):
        overdue(client, lost.id)
    ledger.reap(leading(ledger))
    observe_all(metrics, ledger)
    now = samples(metrics)
    assert {name: value for name, value in now.items() if "_total" in name and value} == {
        "reachq_submitted_total{mode=quick}": 7,
        "reachq_submitted_total{mode=detailed}": 1,
        "reachq_verdicts_total{mode=quick}{verdict=YES}": 1,
        "reachq_verdicts_total{mode=quick}{verdict=NO}": 2,
        "reachq_failed_total": 1,
        "reachq_cancelled_total": 2,
        "reachq_reaped_total": 2,
        "reachq_leader_changes_total": 1,
    }
    assert now["reachq_verdicts_total{mode=detailed}{verdict=UNKNOWN}"] == 0
    assert now["reachq_wait_seconds_count{mode=quick}"] == 5
    assert now["reachq_run_seconds_count{mode=quick}"] == 3
    assert now["reachq_run_seconds_count{mode=detailed}"] == 1


def test_times_fall_into_buckets_of_seconds(metrics: Metrics) -> None:
    for wait_ms in ("0", "1", "7", "250", "300000", "900000"):
        metrics.observe(replace(EVENT, kind=Kind.BEGUN, fields={"mode": "quick", "wait_ms": wait_ms}))
    now = samples(metrics)
    at_most = {
        le: now[f"reachq_wait_seconds_bucket{{le={le}}}{{mode=quick}}"] for le in ("0.001", "0.01", "300.0", "+Inf")
    }
    assert at_most == {"0.001": 2, "0.01": 3, "300.0": 5, "+Inf": 6}
    assert now["reachq_wait_seconds_sum{mode=quick}"] == pytest.approx(1200.258)


@pytest.mark.parametrize(
    "event",
    [
        replace(EVENT, kind="repainted"),
        replace(EVENT, kind=""),
        replace(EVENT, bench="another"),
        replace(EVENT, kind=Kind.SIGNED_IN, bench="", fields={"by": "anna"}),
        replace(EVENT, fields={}),
        replace(EVENT, fields={"mode": "slow"}),
        replace(EVENT, kind=Kind.BEGUN),
        replace(EVENT, kind=Kind.BEGUN, fields={"mode": "quick", "wait_ms": "-3"}),
        replace(EVENT, kind=Kind.FINISHED, fields={"mode": "quick", "run_ms": "soon", "verdict": "MAYBE"}),
    ],
    ids=str,
)
def test_an_event_of_no_use_is_passed_over(metrics: Metrics, event: Event) -> None:
    before = samples(metrics)
    metrics.observe(event)
    assert samples(metrics) == before


def test_with_redis_away_the_page_says_so_and_counters_stay(metrics: Metrics, tmp_path: Path) -> None:
    settings = load_settings(redis_url=f"unix://{tmp_path}/nobody.sock")
    with Ledger.connect(settings) as nobody:
        alone = Metrics(nobody)
        alone.observe(EVENT)
        now = samples(alone)
    assert now["reachq_store_up"] == 0
    assert now["reachq_submitted_total{mode=quick}"] == 1
    gone = {name.partition("{")[0] for name in samples(metrics)} - {name.partition("{")[0] for name in now}
    assert gone == {
        *("reachq_lanes", "reachq_lanes_in_use", "reachq_waiting", "reachq_running", "reachq_workers_alive"),
        *("reachq_bench_up", "reachq_paused", "reachq_leader_epoch"),
    }


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_the_dashboard_asks_for_what_there_is_and_for_all_of_it(metrics: Metrics) -> None:
    there_is = {name.partition("{")[0] for name in samples(metrics)}
    asked = {name for expression in expressions() for name in re.findall(r"\breachq_\w+", expression)}
    assert asked - there_is == set()
    unused = {name for name in there_is if not name.endswith(("_sum", "_count"))} - asked
    assert unused == set()


def test_the_dashboard_is_one_that_grafana_can_load() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    source = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"]
        assert {json.dumps(source)} == {json.dumps(one["datasource"]) for one in (panel, *panel["targets"])}
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
