"""Batches of questions over the API, and the answers of a bulk run: in pages, on its page, as JSON and as CSV."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest
import redis

from app.api.documents import LimitsDocument
from ledger.runs.run import Mode
from ledger.store import Ledger
from netlab.results.bulk import decode_bulk
from tests.support import bulk_runs
from tests.support.attacks import PAGE
from tests.support.bulk_runs import CAVEAT
from tests.support.people import Person, person
from tests.support.runs import submitted
from tests.support.web import QUESTION, Reply, Web

KEY = {"Idempotency-Key": "k"}


@pytest.fixture
def ada(web: Web, ledger: Ledger) -> Person:
    return person(ledger, "ada", "admin")


def batch(web: Web, count: int, headers: dict[str, str] | None = None, **more: object) -> Reply:
    questions = [{**QUESTION, "source_port": 1000 + number} for number in range(count)]
    return web.call("POST", "/api/batches", {"questions": questions, **more}, headers)


def page(web: Web, who: Person, path: str, status: int = 200) -> str:
    answer = web.get(path, headers=who.browser() | PAGE, token=None)
    assert answer.status == status, answer.body
    return unescape(answer.body.decode())


def test_a_batch_becomes_bulk_runs(web: Web, ledger: Ledger) -> None:
    reply = batch(web, 600)
    assert reply.status == 202, reply.body
    runs = reply.json["runs"]
    assert [(run["mode"], run["questions"], run["snapshot"]) for run in runs] == [("bulk", 200, "")] * 3
    lines = [question.line for run in runs for question in ledger.questions(run["id"])]
    assert lines == list(range(1, 601))
    assert LimitsDocument.model_validate(web.get("/api/limits").json).waiting == 600


def test_the_same_key_gives_the_same_runs(web: Web, ledger: Ledger) -> None:
    first, again, other = batch(web, 400, KEY), batch(web, 400, KEY), batch(web, 600, KEY)
    assert (first.status, again.status, other.status) == (202, 200, 409)
    assert [run["id"] for run in first.json["runs"]] == [run["id"] for run in again.json["runs"]]
    assert other.json["type"] == "urn:reachq:problem:idempotency-conflict"
    assert ledger.queue().waiting_total == 2
    assert batch(web, 400).json["runs"][0]["id"] != first.json["runs"][0]["id"]


def test_every_wrong_question_is_named(web: Web, untouched: None) -> None:
    questions: list[Any] = [{**QUESTION} for _ in range(5)]
    questions[1]["source"] = "10.1.10.300"
    questions[3] |= {"services": "http3", "source_port": 0}
    reply = web.call("POST", "/api/batches", {"questions": questions})
    assert reply.status == 422
    assert [error["field"] for error in reply.json["errors"]] == [
        "questions.1.source",
        "questions.3.services",
        "questions.3.source_port",
    ]
    del questions[4]["source"]
    questions[2]["mode"] = "detailed"
    reply = web.call("POST", "/api/batches", {"questions": questions})
    assert {error["field"] for error in reply.json["errors"]} == {"questions.4.source", "questions.2.mode"}


@pytest.mark.parametrize("count", [0, 5001])
def test_a_batch_has_1_to_5000_questions(web: Web, untouched: None, count: int) -> None:
    reply = batch(web, count)
    assert (reply.status, [error["field"] for error in reply.json["errors"]]) == (422, ["questions"])


def test_thousands_of_wrong_questions_make_a_short_detail(web: Web, untouched: None) -> None:
    reply = web.call("POST", "/api/batches", {"questions": [{**QUESTION, "source": "x"}] * 5000})
    assert (reply.status, len(reply.json["errors"])) == (422, 5000)
    assert len(reply.json["detail"]) < 2000


def test_a_batch_may_be_larger_than_other_requests(web: Web, untouched: None) -> None:
    padded = json.dumps({"questions": [QUESTION], "snapshot": "x"}).encode()
    body = padded + b" " * (2 * 1024 * 1024 - len(padded))
    assert web.call("POST", "/api/batches", body).status == 422
    too_large = web.call("POST", "/api/batches", body + b" ")
    assert (too_large.status, too_large.json["type"]) == (413, "urn:reachq:problem:request-entity-too-large")
    assert web.call("POST", "/api/runs", body).status == 413
    assert web.call("POST", "/api/batches?x=1", padded).status == 422


def test_5000_questions_fit(web: Web, ledger: Ledger) -> None:
    reply = batch(web, 5000)
    assert (reply.status, len(reply.json["runs"])) == (202, 20)


def test_a_snapshot_that_is_not_there(web: Web, untouched: None) -> None:
    reply = batch(web, 2, snapshot="abcd")
    assert (reply.status, reply.json["type"]) == (404, "urn:reachq:problem:snapshot-not-found")


def test_a_viewer_submits_no_batch(web: Web, ledger: Ledger) -> None:
    vera = person(ledger, "vera", "viewer")
    reply = web.call("POST", "/api/batches", {"questions": [QUESTION]}, vera.program(), token=None)
    assert reply.status == 403


def test_answers_in_pages(web: Web, ledger: Ledger) -> None:
    run = bulk_runs.answered(ledger)
    first = web.get(f"/api/runs/{run.id}/answers?limit=5").json
    assert [answer["line"] for answer in first["answers"]] == [1, 2, 3, 4, 5]
    assert (first["matching"], first["totals"]) == (12, {"YES": 7, "NO": 4, "UNKNOWN": 1})
    assert first["answers"][1]["depends_on"] == [CAVEAT]
    assert first["answers"][2]["services"][0]["rule"]["file"] == "dc-fw/iptables.rules"
    blocked = web.get(f"/api/runs/{run.id}/answers?verdict=NO&text=dc-fw+10.3.20.9").json
    assert ([answer["line"] for answer in blocked["answers"]], blocked["matching"]) == ([9], 1)
    assert web.get(f"/api/runs/{run.id}/answers?verdict=MAYBE").status == 422


def test_the_result_of_a_bulk_run(web: Web, ledger: Ledger) -> None:
    run = bulk_runs.answered(ledger)
    document = web.get(f"/api/runs/{run.id}/result")
    assert len(decode_bulk(document.body).answers) == 12
    record = web.get(f"/api/runs/{run.id}").json
    assert (record["questions"], record["verdict"], record["one_way"]) == (12, "NO", False)


def test_answers_need_a_bulk_run_that_has_ended(web: Web, ledger: Ledger) -> None:
    waiting, quick = submitted(ledger, Mode.BULK), submitted(ledger)
    for run, code in ((waiting, "not-finished"), (quick, "not-bulk")):
        reply = web.get(f"/api/runs/{run.id}/answers")
        assert (reply.status, reply.json["type"]) == (409, f"urn:reachq:problem:{code}")
    assert web.get(f"/api/runs/{waiting.id}/result").json["type"] == "urn:reachq:problem:not-finished"


def test_other_users_do_not_see_the_answers(web: Web, ledger: Ledger) -> None:
    run, ben = bulk_runs.answered(ledger), person(ledger, "ben", "user")
    for path in (f"/api/runs/{run.id}/answers", f"/api/runs/{run.id}/result", f"/runs/{run.id}/result.csv"):
        assert web.get(path, headers=ben.browser(), token=None).status == 404


def test_the_page_of_an_answered_run(web: Web, ada: Person, ledger: Ledger) -> None:
    run = bulk_runs.answered(ledger, 250)
    shown = page(web, ada, f"/runs/{run.id}")
    assert "<h1>250 questions</h1>" in shown
    assert shown.count(">ask alone</a>") == 100
    assert "1–100 of 250" in shown
    assert 'href="/?source=10.1.10.20&destination=10.3.20.1&services=443%2Ftcp"' in shown
    second = page(web, ada, f"/runs/{run.id}?verdict=NO&text=dc-fw")
    assert "1–83 of 83" in second
    assert 'class="pill yes"' not in second.partition("Answers</h2>")[2]
    assert "No matching answers" in page(web, ada, f"/runs/{run.id}?text=elsewhere")
    assert "101–200 of 250" in page(web, ada, f"/runs/{run.id}?offset=100")


def test_the_page_of_a_run_without_answers(web: Web, ada: Person, ledger: Ledger, client: redis.Redis) -> None:
    run = bulk_runs.begun(ledger, bulk_runs.questions(12))
    assert "The bench answers the questions" in page(web, ada, f"/runs/{run.id}")
    ledger.progress(run.id, run.token, "ask", 50, "6 of 12 questions answered")
    assert "6 of 12 questions answered" in page(web, ada, f"/runs/{run.id}/live")
    ledger.fail(run.id, run.token, "the questions of the run are damaged")
    assert "the questions of the run are damaged" in page(web, ada, f"/runs/{run.id}")
    waiting = submitted(ledger, Mode.BULK)
    assert "Position in the queue" in page(web, ada, f"/runs/{waiting.id}")
    ledger.cancel(waiting.id)
    assert "either all its answers or none" in page(web, ada, f"/runs/{waiting.id}")
    client.delete(f"reachq:run:{waiting.id}:questions")
    assert page(web, ada, f"/runs/{waiting.id}")


def test_a_damaged_result_is_named(web: Web, ada: Person, ledger: Ledger, client: redis.Redis) -> None:
    run = bulk_runs.answered(ledger)
    client.set(f"reachq:run:{run.id}:result", "{")
    assert web.get(f"/api/runs/{run.id}/answers").status == 409
    assert "is damaged" in page(web, ada, f"/runs/{run.id}", 409)


def test_exports(web: Web, ada: Person, ledger: Ledger) -> None:
    run = bulk_runs.answered(ledger)
    table = web.get(f"/runs/{run.id}/result.csv", headers=ada.browser(), token=None)
    assert len(table.body.decode().splitlines()) == 13
    document = web.get(f"/runs/{run.id}/result.json", headers=ada.browser(), token=None)
    assert document.json["run_id"] == run.id


def test_lists_say_how_many_questions_a_run_has(web: Web, ada: Person, ledger: Ledger) -> None:
    bulk_runs.answered(ledger, user="ada")
    bulk_runs.begun(ledger, bulk_runs.questions(7), user="ada")
    submitted(ledger, Mode.BULK)
    for path, count in (("/runs", 12), ("/latest", 12), ("/board", 7), ("/board", 2), ("/runs?mode=bulk", 2)):
        assert f"{count} questions: 10.1.10.20 → 10.3.20." in page(web, ada, path), path
    assert "blocked by 7 YES" not in page(web, ada, "/latest")
    assert "A detailed run has the bench to itself" not in page(web, ada, "/board")
    queue = web.get("/api/queue").json
    assert ([run["questions"] for run in queue["running"]], queue["waiting"][0]["questions"]) == ([7], 2)


def test_the_board_says_for_what_a_detailed_run_waits(web: Web, ada: Person, ledger: Ledger) -> None:
    bulk_runs.begun(ledger, bulk_runs.questions(7))
    submitted(ledger, Mode.DETAILED)
    assert "A detailed run waits for 1 bulk run to end." in page(web, ada, "/board")


def test_what_works_only_for_one_question_says_so(web: Web, ada: Person, ledger: Ledger) -> None:
    one, other = (bulk_runs.answered(ledger, count) for count in (3, 4))
    assert "only runs with one question can be compared" in page(web, ada, f"/compare?a={one.id}&b={other.id}", 422)
    form = ada.browser() | PAGE
    refused = web.call("POST", f"/runs/{one.id}/find-rule", b"", form, token=None)
    assert (refused.status, b"is a bulk run" in refused.body) == (422, True)


def test_ask_again_opens_the_rows(web: Web, ada: Person, ledger: Ledger) -> None:
    run = bulk_runs.answered(ledger, 2)
    answer = web.get(f"/?from={run.id}", headers=ada.browser() | PAGE, token=None)
    assert (answer.status, answer.headers["location"]) == (303, f"/many?from={run.id}")
    text = page(web, ada, f"/many?from={run.id}")
    assert (
        "source;destination;services;source_port\n10.1.10.20;10.3.20.1;443/tcp;\n10.1.10.20;10.3.20.2;443/tcp;" in text
    )


def test_the_form_does_not_remember_a_bulk_run(web: Web, ada: Person, ledger: Ledger) -> None:
    bulk_runs.answered(ledger, user="ada")
    assert 'value="10.1.10.20"' not in page(web, ada, "/")
