"""`?wait=SECONDS`: a request that is answered when the run has ended."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from app.live.endings import WAITING_MAX
from ledger.store import Ledger
from tests.support.patience import patience
from tests.support.results import answer_with
from tests.support.runs import running, submitted
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.web import QUESTION, Reply, Web
from tests.system.api.test_runs import RESULT


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for requests that wait."""
    with ThreadPoolExecutor(WAITING_MAX + 1) as pool:
        yield pool


def asked(pool: ThreadPoolExecutor, web: Web, path: str) -> Future[Reply]:
    """A GET request in a thread."""
    return pool.submit(web.call, "GET", path)


def test_the_result_comes_as_soon_as_there_is_one(web: Web, ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    run = running(ledger)
    result = asked(pool, web, f"/api/runs/{run.id}/result?wait=60")
    record = asked(pool, web, f"/api/runs/{run.id}?wait=60")
    assert web.get(f"/api/runs/{run.id}?wait=1").json["state"] == "running", "the time is over before the run"
    assert not result.done()
    assert ledger.finish(run.id, run.token, answer_with({**RESULT, "run_id": run.id}))
    answer = result.result(patience(10))
    assert (answer.status, answer.json["run_id"]) == (200, run.id)
    assert record.result(patience(10)).json["state"] == "done"
    assert web.get(f"/api/runs/{run.id}/result?wait=60").status == 200, "it does not wait for an end that was before"


def test_a_submission_waits_too(web: Web, ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    reply = pool.submit(web.call, "POST", "/api/runs?wait=60", QUESTION)
    wait_until(lambda: ledger.runs()[1] == 1, 10, "it is submitted")
    ledger.cancel(ledger.runs()[0][0].id)
    answer = reply.result(patience(10))
    assert (answer.status, answer.json["state"]) == (202, "cancelled")
    late = web.call("POST", "/api/runs?wait=1", QUESTION)
    assert (late.status, late.json["state"]) == (202, "pending")


def test_only_half_of_the_threads_may_wait(web: Web, ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    """Further requests are answered at once, and the rest of the API stays available."""
    run = submitted(ledger)
    replies = [asked(pool, web, f"/api/runs/{run.id}?wait=60") for _ in range(WAITING_MAX + 1)]
    wait_until(lambda: any(reply.done() for reply in replies), 10, "one is answered at once")
    assert web.get("/api/queue").status == 200
    (first,) = [reply for reply in replies if reply.done()]
    assert first.result().json["state"] == "pending"
    ledger.cancel(run.id)
    assert {reply.result(patience(10)).json["state"] for reply in replies if reply is not first} == {"cancelled"}


def test_a_server_that_stops_answers_those_that_wait(
    server: Server, tmp_path: Path, ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    web = Web(server.url, tmp_path)
    try:
        run = submitted(ledger)
        waiting = asked(pool, web, f"/api/runs/{run.id}?wait=60")
        assert web.get(f"/api/runs/{run.id}?wait=1").status == 200
    finally:
        web.stop()
    assert waiting.result(patience(10)).json["state"] == "pending"


@pytest.mark.parametrize("wait", ["61", "-1", "x", ""])
def test_a_time_that_cannot_be_is_refused(web: Web, wait: str) -> None:
    answer = web.call("POST", f"/api/runs?wait={wait}", QUESTION)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "wait")
