"""The bench's status: what the worker pool stores is what the readers get."""

from __future__ import annotations

import json

from netlab.service.status import AttemptStatus, BenchReport, BenchStatus, HostStatus

STATUS = BenchStatus(
    network="campus",
    facts="3f2a",
    routers=("hq-gw",),
    hosts=(HostStatus("10.1.10.20", "segment 10.1.10.0/24", {"a-run": 1}),),
    locks={"hq-gw": "a-run"},
    attempts=(AttemptStatus("a-run", "detailed", 0, 7, 1),),
)


def test_a_stored_report_is_read_as_it_was() -> None:
    report = BenchReport.of(STATUS)
    assert BenchReport.read(json.loads(json.dumps(report.fields()))) == report
    away = BenchReport(state="away", error="no bench answers")
    assert away.fields() == {"state": "away", "error": "no bench answers"}
    assert BenchReport.read(away.fields()) == away


def test_a_bench_that_has_never_reported_has_no_fields() -> None:
    assert BenchReport.read({}).fields() == {}


def test_an_unused_bench_still_lists_its_hosts_and_locks() -> None:
    fields = json.loads(json.dumps(BenchReport.of(BenchStatus(network="campus")).fields()))
    assert (fields["hosts"], fields["locks"], fields["attempts"]) == ([], {}, [])


def test_damaged_and_unknown_fields_are_left_out() -> None:
    read = BenchReport.read({"state": "up", "routers": 3, "facts": "3f2a", "locks": {"hq-gw": 1}, "uptime_s": 1.5})
    assert read == BenchReport(state="up", facts="3f2a")
