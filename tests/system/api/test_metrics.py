"""GET /metrics of the web process, with a real dispatcher and real workers: the feed's events are counted."""

from __future__ import annotations

from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ledger.runs.run import ENDED
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.parts import Parts
from tests.support.people import person
from tests.support.waiting import wait_until
from tests.support.web import Web


def samples(web: Web) -> Counter[str]:
    """`name label value …` of every sample, parsed as Prometheus does."""
    answer = web.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return Counter(
        {
            " ".join((sample.name, *(f"{name} {value}" for name, value in sorted(sample.labels.items())))): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }
    )


def test_what_has_run_is_counted(web: Web, ledger: Ledger, settings: Settings) -> None:
    before = samples(web)
    with Parts(settings) as parts:
        parts.dispatcher()
        parts.pool(4, 1, hold_ms=30)
        wait_until(parts.leader_pid, 10, "one leads")
        runs = [web.submit().json["id"] for _ in range(6)]
        runs += [web.submit(mode="detailed").json["id"], web.submit(services="1").json["id"]]
        wait_until(lambda: all(ledger.run(run).state in ENDED for run in runs), 20, "all have ended")
        ledger.pause("anna")
        web.call("DELETE", web.submit().headers["location"])

        def counted(name: str) -> float:
            return samples(web)[name] - before[name]

        wait_until(lambda: counted("reachq_cancelled_total") == 1, 5, "the feed has seen the last event")
        counts = {
            "reachq_submitted_total mode quick": 8,
            "reachq_submitted_total mode detailed": 1,
            "reachq_verdicts_total mode quick verdict YES": 6,
            "reachq_verdicts_total mode quick verdict NO": 0,
            "reachq_verdicts_total mode detailed verdict YES": 1,
            "reachq_failed_total": 1,
            "reachq_leader_changes_total": 1,
            "reachq_wait_seconds_count mode quick": 7,
            "reachq_run_seconds_count mode quick": 7,
            "reachq_run_seconds_count mode detailed": 1,
            "reachq_run_seconds_bucket le 0.02 mode detailed": 0,
            "reachq_run_seconds_bucket le +Inf mode detailed": 1,
        }
        assert {name: counted(name) for name in counts} == counts
        assert 0.03 <= counted("reachq_run_seconds_sum mode detailed") < 5
        now = samples(web)
        for name, value in {"workers_alive mode quick": 4, "lanes": 32, "running mode quick": 0, "paused": 1}.items():
            assert now[f"reachq_{name}"] == value, name


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("viewer", 200), ("user", 403)])
def test_who_may_scrape(web: Web, ledger: Ledger, role: str, status: int) -> None:
    assert web.get("/metrics", headers=person(ledger, "somebody", role).program(), token=None).status == status
    assert web.get("/metrics", token=None).status == 401
