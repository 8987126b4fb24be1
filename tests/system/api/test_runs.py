"""Submit, read, page, cancel, results: the API with valid requests."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from app.api.bench_documents import BenchDocument
from app.api.documents import CancelDocument, LogDocument, QueueDocument, RunDocument, RunPage
from ledger.runs.run import Mode
from ledger.store import Ledger
from tests.support.results import answer_with, read
from tests.support.runs import promoted, running
from tests.support.web import QUESTION, Web

RESULT = {
    "run_id": "", "mode": "quick", "source": "10.1.10.20", "destination": "10.3.20.8", "source_port": None, "dscp": 32,
    "verdict": "NO", "path": ["hq-gw"], "caveats": [], "reason": None, "facts": "3f2a", "timing_ms": {"total": 0.4},
    "routers": [{"name": "hq-gw", "hop": 1, "in": "eth0", "out": None,
                 "services": [{"port": 443, "protocol": "tcp", "result": "NO"}]}],
    "services": [{"port": 443, "protocol": "tcp", "result": "NO", "path": ["hq-gw"], "blocked_by": ["hq-gw"]}],
}  # fmt: skip


def test_a_submitted_run_is_there_at_its_location(web: Web, ledger: Ledger) -> None:
    answer = web.submit(services=["ssh", {"port": 53, "protocol": "udp"}, "icmp"], source_port=40000)
    assert answer.status == 202
    run = RunDocument.model_validate(answer.json)
    assert answer.headers["location"] == f"/api/runs/{run.id}"
    assert (run.state, run.mode, run.source_port) == ("pending", "quick", 40000)
    assert [str(service) for service in run.services] == ["22/tcp", "53/udp", "icmp"]
    assert web.get(answer.headers["location"]).json == answer.json
    assert ledger.run(run.id).destination == QUESTION["destination"]


def test_the_token_of_an_attempt_is_never_shown(web: Web, ledger: Ledger) -> None:
    run = running(ledger)
    assert run.token
    for path in (f"/api/runs/{run.id}", "/api/runs", "/api/queue", "/api/lanes", "/api/bench"):
        assert run.token not in web.get(path).body.decode(), path


def test_the_same_key_gives_the_same_run(web: Web, ledger: Ledger) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first, again = web.submit(key), web.submit(key, services=["443/tcp", "53/udp"])
    assert (first.status, again.status) == (202, 200)
    assert first.headers["location"] == again.headers["location"]
    assert first.json == again.json
    assert ledger.runs()[1] == 1

    other = web.submit(key, services="80")
    assert other.status == 409
    assert other.json["type"] == "urn:reachq:problem:idempotency-conflict"
    assert "new key" in other.json["detail"]
    assert web.submit({"Idempotency-Key": "another"}).headers["location"] != first.headers["location"]
    assert web.submit().headers["location"] != web.submit().headers["location"]


def test_many_at_once_with_one_key_are_one_run(web: Web, ledger: Ledger) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: web.submit({"Idempotency-Key": "once"}), range(24)))
    assert sorted({answer.status for answer in answers}) == [200, 202]
    assert sum(answer.status == 202 for answer in answers) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert ledger.runs()[1] == 1


def test_many_requests_on_one_connection(web: Web, ledger: Ledger) -> None:
    connection = web.connect()
    headers = {"Authorization": "Bearer test-token-0123456789", "Content-Type": "application/json"}
    for _ in range(20):
        connection.request("POST", "/api/runs", json.dumps(QUESTION), headers)
        answer = connection.getresponse()
        assert answer.status == 202
        answer.read()
    connection.close()
    assert ledger.runs()[1] == 20


def test_pages_hold_every_run_once(web: Web) -> None:
    ids = [web.submit().json["id"] for _ in range(7)]
    seen: list[str] = []
    for offset in range(0, 9, 3):
        page = RunPage.model_validate(web.get(f"/api/runs?offset={offset}&limit=3").json)
        assert (page.total, page.offset, page.limit) == (7, offset, 3)
        seen += [run.id for run in page.runs]
    assert seen == ids[::-1]
    assert web.get("/api/runs?offset=100").json["runs"] == []


def test_pages_of_one_state(web: Web, ledger: Ledger) -> None:
    cancelled = web.submit().json["id"]
    web.call("DELETE", f"/api/runs/{cancelled}")
    busy, waiting = running(ledger).id, web.submit().json["id"]
    by_state = {"cancelled": [cancelled], "running": [busy], "pending": [waiting], "done": [], "promoted": []}
    for state, ids in by_state.items():
        page = web.get(f"/api/runs?state={state}").json
        assert ([run["id"] for run in page["runs"]], page["total"]) == (ids, len(ids)), state


def test_cancel_ends_a_waiting_run_and_stops_a_running_one(web: Web, ledger: Ledger) -> None:
    waiting = web.submit().json["id"]
    answer = web.call("DELETE", f"/api/runs/{waiting}")
    assert (answer.status, answer.json["state"]) == (202, "cancelled")

    again = web.call("DELETE", f"/api/runs/{waiting}")
    assert (again.status, again.json["type"]) == (409, "urn:reachq:problem:run-ended")

    busy = running(ledger)
    answer = web.call("DELETE", f"/api/runs/{busy.id}")
    assert (answer.status, answer.json["state"], answer.json["cancelling"]) == (202, "running", True)
    ledger.stopped(busy.id, busy.token)
    assert web.get(f"/api/runs/{busy.id}").json["state"] == "cancelled"


def test_all_runs_that_match_are_cancelled(web: Web, ledger: Ledger) -> None:
    dns, web_runs = web.submit(services="53/udp").json["id"], [web.submit().json["id"] for _ in range(3)]
    busy = running(ledger)
    answer = web.call("DELETE", "/api/runs?text=443&mode=quick&state=pending")
    assert (answer.status, answer.json) == (200, {"cancelled": 3, "cancelling": 0})
    assert {web.get(f"/api/runs/{run_id}").json["state"] for run_id in web_runs} == {"cancelled"}
    assert web.get(f"/api/runs/{dns}").json["state"] == "pending"
    answer = web.call("DELETE", "/api/runs?user=*")
    assert (answer.status, CancelDocument.model_validate(answer.json)) == (
        200,
        CancelDocument(cancelled=1, cancelling=1),
    )
    assert ledger.run(busy.id).cancelling
    for query in ("state=done", "mode=slow", "colour=red"):
        assert web.call("DELETE", f"/api/runs?{query}").status == 422, query


def test_the_result_is_there_when_the_run_is_done(web: Web, ledger: Ledger) -> None:
    waiting = web.submit().json["id"]
    early = web.get(f"/api/runs/{waiting}/result")
    assert (early.status, early.json["type"]) == (409, "urn:reachq:problem:not-finished")
    assert "pending" in early.json["detail"]

    run = running(ledger)
    assert web.get(f"/api/runs/{run.id}/result").status == 409
    ledger.progress(run.id, run.token, "inject", 50, "asking 3 routers")
    document = {**RESULT, "run_id": run.id}
    assert ledger.finish(run.id, run.token, answer_with(document))

    answer = web.get(f"/api/runs/{run.id}/result")
    assert answer.status == 200
    assert document.items() <= {**answer.json, "services": document["services"]}.items()
    read(answer.json)
    shown = web.get(f"/api/runs/{run.id}").json
    assert (shown["state"], shown["verdict"]) == ("done", "NO")
    log = LogDocument.model_validate(web.get(f"/api/runs/{run.id}/log").json)
    assert [(entry.phase, entry.percent, entry.message) for entry in log.entries] == [
        ("inject", 50, "asking 3 routers")
    ]


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_run_without_an_answer_says_why(web: Web, ledger: Ledger, how: str) -> None:
    run = running(ledger)
    if how == "failed":
        ledger.fail(run.id, run.token, "the bench refused facts")
    else:
        ledger.cancel(run.id)
        ledger.stopped(run.id, run.token)
    answer = web.get(f"/api/runs/{run.id}/result")
    assert (answer.status, answer.json["type"]) == (409, "urn:reachq:problem:no-result")
    assert ("the bench refused facts" if how == "failed" else "cancelled") in answer.json["detail"]


def test_the_queue_shows_lanes_positions_and_reasons(web: Web, ledger: Ledger) -> None:
    busy = running(ledger)
    first, second = web.submit().json["id"], web.submit().json["id"]
    ledger.explain({second: ("no-worker", "No live worker is free.")})
    gone = web.submit().json["id"]
    web.call("DELETE", f"/api/runs/{gone}")

    queue = QueueDocument.model_validate(web.get("/api/queue").json)
    assert [(run.id, run.dscp) for run in queue.running] == [(busy.id, busy.dscp)]
    assert [(run.position, run.id) for run in queue.waiting] == [(1, first), (2, second)]
    assert queue.waiting[1].wait_reason == "No live worker is free."
    assert queue.waiting_total == 2
    assert [run.id for run in queue.finished] == [gone]
    assert len(web.get("/api/queue?limit=1").json["waiting"]) == 1


def test_the_lanes_show_their_holder(web: Web, ledger: Ledger) -> None:
    run = promoted(ledger)
    lanes = web.get("/api/lanes").json["lanes"]
    assert [lane["dscp"] for lane in lanes] == list(range(32, 64))
    (leased,) = [lane for lane in lanes if lane["state"] == "leased"]
    assert (leased["dscp"], leased["run_id"], leased["fence"]) == (run.dscp, run.id, run.fence)
    assert web.get("/api/lanes").json["problems"] == []


def test_the_lanes_report_a_damaged_pool(web: Web, ledger: Ledger, client: redis.Redis) -> None:
    run = promoted(ledger)
    client.smove("reachq:main:dscp:leased", "reachq:main:dscp:free", str(run.dscp))
    try:
        problems = web.get("/api/lanes").json["problems"]
    finally:
        client.smove("reachq:main:dscp:free", "reachq:main:dscp:leased", str(run.dscp))
    assert problems == [f"lane {run.dscp} is free, but run {run.id} holds it"]


def test_ready_only_when_a_run_would_be_tested(web: Web, ledger: Ledger) -> None:
    assert web.get("/healthz", token=None).json == {"status": "ok"}

    def missing() -> list[str]:
        answer = web.get("/readyz", token=None)
        assert answer.status == 503
        assert answer.json["type"] == "urn:reachq:problem:not-ready"
        return [error["field"] for error in answer.json["errors"]]

    assert missing() == ["dispatcher", "workers", "bench"]
    ledger.lead("d1")
    assert missing() == ["workers", "bench"]
    ledger.announce("w1", "main-quick-0", Mode.QUICK, 1)
    ledger.report_bench({"state": "away", "error": "no bench listens"})
    assert missing() == ["bench"]
    ledger.report_bench({"state": "up", "facts": "3f2a", "routers": ["hq-gw"]})
    assert web.get("/readyz", token=None).status == 200

    bench = web.get("/api/bench").json
    assert bench["leader"]["dispatcher"] == "d1"
    assert [worker["queue"] for worker in bench["workers"]] == ["main-quick-0"]
    assert bench["status"]["facts"] == "3f2a"


def test_a_pause_is_shown_with_who_and_why_and_is_no_fault(web: Web, ledger: Ledger) -> None:
    ledger.lead("d1")
    ledger.announce("w1", "main-quick-0", Mode.QUICK, 1)
    ledger.report_bench({"state": "up", "facts": "3f2a"})
    assert BenchDocument.model_validate(web.get("/api/bench").json).paused is None
    ledger.pause("anna", "new facts")
    paused = BenchDocument.model_validate(web.get("/api/bench").json).paused
    assert paused is not None
    assert (paused.by, paused.why, paused.since_ms > 0) == ("anna", "new facts", True)
    assert web.get("/readyz", token=None).status == 200, "nothing is missing: it is meant"
    ledger.resume("anna")
    assert web.get("/api/bench").json["paused"] is None
