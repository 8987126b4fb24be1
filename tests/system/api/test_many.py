"""Bulk tests from rows: nothing is truncated, only reviewed rows are submitted, and the results are in their order."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
import redis

from ledger.store import Ledger
from tests.support.people import Person, person
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
    where = asked(web, anna, "\n".join(f"10.1.10.20, 10.3.20.{n}, 22" for n in (8, 9, 10)))
    first = min(ledger.search(limit=10)[0], key=lambda run: run.seq)
    ledger.cancel(first.id)
    client.delete(f"reachq:run:{first.id}")
    client.zrem("reachq:finished", first.id)
    page = web.get(where, headers=anna.browser() | {"Accept": "text/html"}, token=None).body.decode()
    assert re.findall(r'<td class="num" data-label="line">(\d+)</td>', page) == ["2", "3"]
    csv = web.get(where.replace("?", "/answers.csv?"), headers=anna.browser(), token=None).body.decode()
    assert [line.split(",")[2] for line in csv.splitlines()[1:]] == ["10.3.20.9", "10.3.20.10"]


def test_a_batch_is_its_owners_alone(web: Web, anna: Person, ledger: Ledger) -> None:
    where = asked(web, anna, ROW)
    berta = person(ledger, "berta", "admin")
    assert web.get(where, headers=berta.browser(), token=None).status == 404
    assert web.get(where.partition("?")[0], headers=anna.browser(), token=None).status == 404
