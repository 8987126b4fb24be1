"""Bulk tests from rows: nothing is truncated, only reviewed rows are submitted, and the results are in their order."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

import pytest
import redis

from ledger.runs.bulk import BulkRequest
from ledger.runs.records import Answer, Choice
from ledger.runs.run import Mode
from ledger.store import Ledger
from netlab.results.bulk import encode_bulk
from tests.support import bulk_runs
from tests.support.people import Person, person
from tests.support.runs import a_request, leading, queue_of, worker_of
from tests.support.web import Reply, Web

ROW = "10.1.10.20, 10.3.20.8, 22"


@pytest.fixture
def anna(ledger: Ledger) -> Person:
    return person(ledger, "anna", "user")


def send(web: Web, anna: Person, **fields: str) -> Reply:
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
    return web.call("POST", "/many", urlencode(fields).encode(), anna.browser() | kind, token=None)


def hidden(page: Reply, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.body.decode())
    assert found, name
    return found[1]


def asked(web: Web, anna: Person, rows: str) -> str:
    page = send(web, anna, rows=rows)
    sent = {name: hidden(page, name) for name in ("seen", "key")}
    answer = send(web, anna, rows=rows, confirmed="yes", **sent)
    assert answer.status == 303, answer.body
    return answer.headers["location"]


def test_a_file_that_is_too_large_is_refused_not_cut(web: Web, anna: Person, ledger: Ledger) -> None:
    text = "\n".join([ROW + ", 443" * 15] * 520)
    assert 48 * 1024 < len(text) < 64 * 1024
    parts = f'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n{text}\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x", "Accept": "text/html"}
    answer = web.call("POST", "/many", parts.encode(), anna.browser() | kind, token=None)
    assert answer.status == 422
    assert b"larger than 48 KiB" in answer.body
    assert ledger.search(limit=1)[1] == 0


def test_only_what_was_checked_is_asked(web: Web, anna: Person, ledger: Ledger) -> None:
    page = send(web, anna, rows=ROW)
    seen, key = hidden(page, "seen"), hidden(page, "key")
    changed = send(web, anna, rows=ROW + ", 443", seen=seen, key=key, confirmed="yes")
    assert changed.status == 422
    assert ledger.search(limit=1)[1] == 0
    for _ in range(2):  # sent twice it is submitted once
        assert send(web, anna, rows=ROW, seen=seen, key=key, confirmed="yes").status == 303
    assert ledger.search(limit=1)[1] == 1


def test_answers_keep_their_places_when_some_are_gone(
    web: Web, anna: Person, ledger: Ledger, client: redis.Redis
) -> None:
    where = asked(web, anna, "\n".join(f"10.1.10.20, 10.3.20.{n}, 22, detailed" for n in (8, 9, 10)))
    first = min(ledger.search(limit=10)[0], key=lambda run: run.seq)
    ledger.cancel(first.id)
    client.delete(f"reachq:run:{first.id}")
    client.zrem("reachq:finished", first.id)
    page = web.get(where, headers=anna.browser() | {"Accept": "text/html"}, token=None).body.decode()
    assert re.findall(r'<td class="num" data-label="line">(\d+)</td>', page) == ["2", "3"]
    csv = web.get(where.replace("?", "/answers.csv?"), headers=anna.browser(), token=None).body.decode()
    assert [line.split(",")[2] for line in csv.splitlines()[1:]] == ["10.3.20.9", "10.3.20.10"]


def shown(web: Web, anna: Person, where: str) -> str:
    page = web.get(where, headers=anna.browser() | {"Accept": "text/html"}, token=None)
    assert page.status == 200, page.body
    return unescape(page.body.decode())


def lines_of(page: str) -> list[int]:
    return list(map(int, re.findall(r'<td class="num" data-label="line">(\d+)</td>', page)))


def test_quick_rows_share_a_bulk_run(web: Web, anna: Person, ledger: Ledger, client: redis.Redis) -> None:
    rows = "\n".join(f"10.1.10.20, 10.3.20.8, {n}{', detailed' if n == 2 else ''}" for n in range(1, 301))
    where = asked(web, anna, rows)
    runs = sorted(ledger.search(limit=10)[0], key=lambda run: run.seq)
    assert [(run.mode, run.questions) for run in runs] == [("bulk", 149), ("bulk", 150), ("detailed", 1)]
    page = shown(web, anna, where)
    assert lines_of(page) == list(range(1, 301))
    assert "<h1>300 tests</h1>" in page
    assert "300 not finished" in page
    table = web.get(where.replace("?", "/answers.csv?"), headers=anna.browser(), token=None).body.decode()
    assert [line.split(",")[4] for line in table.splitlines()[1:4]] == ["quick", "detailed", "quick"]
    client.set(f"reachq:run:{runs[0].id}:questions", "[")
    page = shown(web, anna, where)
    assert f"The questions of run {runs[0].id} are damaged" in page
    assert len(lines_of(page)) == 151


def test_the_answers_come_from_the_bulk_run(web: Web, anna: Person, ledger: Ledger) -> None:
    where = asked(web, anna, "\n".join(f"10.1.10.20, 10.3.20.{n}, 443" for n in range(1, 5)))
    queue = queue_of(Mode.BULK)
    ledger.announce(worker_of(queue), queue, Mode.BULK, 1)
    (waiting,) = ledger.view().waiting
    ledger.promote(leading(ledger), [Choice(waiting.run_id, Mode.BULK, queue)])
    run = ledger.begin(waiting.run_id, worker_of(queue))
    assert run is not None
    result = bulk_runs.result_of(run, BulkRequest(ledger.questions(run.id)))
    assert ledger.finish(run.id, run.token, Answer(result.verdict, encode_bulk(result)))
    page = shown(web, anna, where)
    assert re.findall(r'class="pill (\w+)"', page.partition("<tbody>")[2]) == ["yes", "unknown", "no", "yes"]
    assert "dc-fw iptables.rules:12" in page
    assert "All finished" in page


def test_long_batches_have_pages(web: Web, anna: Person, ledger: Ledger) -> None:
    where = asked(web, anna, "\n".join(f"10.1.10.20, 10.3.20.8, {n}" for n in range(1, 701)))
    assert len(lines_of(shown(web, anna, where))) == 500
    assert lines_of(shown(web, anna, f"{where}&offset=500")) == list(range(501, 701))


def test_a_batch_of_an_older_version_is_shown(web: Web, anna: Person, ledger: Ledger) -> None:
    key = "0" * 8 + "-0000-4000-8000-" + "0" * 12
    for line in (1, 2, 4):
        ledger.submit(a_request(), user="anna", idempotency_key=f"rows {key} {line}")
    assert lines_of(shown(web, anna, f"/many/{key}?lines=1-2,4")) == [1, 2, 4]


def test_a_batch_is_its_owners_alone(web: Web, anna: Person, ledger: Ledger) -> None:
    where = asked(web, anna, ROW)
    berta = person(ledger, "berta", "admin")
    assert web.get(where, headers=berta.browser(), token=None).status == 404
    assert web.get(where.partition("?")[0], headers=anna.browser(), token=None).status == 404
