"""Too many waiting runs of one user: refused with 429 everywhere, in plain words, and without losing a run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from app.api.documents import LimitsDocument
from ledger.runs.fair_order import beyond_line
from ledger.runs.run import State
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support.people import Person, person
from tests.support.runs import a_request
from tests.support.server import Server
from tests.support.web import Reply, Web

MAX = 3
SAYS = "anna has 3 waiting questions, and 3 are allowed for each user; submit again when some of them have started"
FORM = {"source": "10.1.10.20", "destination": "10.3.20.8", "services": "443", "mode": "quick"}


@pytest.fixture
def strict(server: Server, tmp_path: Path) -> Iterator[Web]:
    """A web server that lets each user have MAX waiting runs."""
    web = Web(server.url, tmp_path, REACHQ_WAITING_MAX=str(MAX))
    yield web
    web.stop()
    assert "Traceback" not in web.log.read_text()


@pytest.fixture
def anna(ledger: Ledger) -> Person:
    return person(ledger, "anna", "user")


def send(web: Web, anna: Person, path: str, **fields: str) -> Reply:
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
    return web.call("POST", path, urlencode(fields).encode(), anna.browser() | kind, token=None)


def fill(ledger: Ledger, count: int = MAX, user: str = "anna") -> list[str]:
    return [ledger.submit(a_request(), user=user)[0].id for _ in range(count)]


def test_the_limits_are_those_of_the_caller(strict: Web, ledger: Ledger, anna: Person) -> None:
    fill(ledger, 2)
    fill(ledger, 1, "ben")
    limits = LimitsDocument.model_validate(strict.get("/api/limits", headers=anna.program(), token=None).json)
    assert (limits.waiting, limits.waiting_max) == (2, MAX)
    for mode, most in (("quick", limits.services_quick), ("detailed", limits.services_detailed)):
        refused = strict.submit(services=f"1-{most + 1}", mode=mode)
        assert refused.status == 422, mode
        accepted = strict.submit(services=f"1-{most}", mode=mode)
        assert accepted.status == 202, mode


def test_the_api_answers_429_and_keeps_a_known_key(strict: Web, ledger: Ledger) -> None:
    key = {"Idempotency-Key": "k"}
    first = strict.submit(key)
    fill(ledger, MAX - 1, "api")
    refused = strict.submit()
    assert (refused.status, refused.headers["retry-after"]) == (429, "10")
    assert refused.json["type"] == "urn:reachq:problem:too-many-waiting"
    assert refused.json["detail"].startswith(
        "api has 3 waiting questions, and 3 are allowed for each user; submit again when"
    )
    again = strict.submit(key)
    assert (again.status, again.json["id"]) == (200, first.json["id"])
    assert ledger.queue().waiting_total == MAX


def test_the_form_says_so_and_keeps_what_was_typed(strict: Web, anna: Person, ledger: Ledger) -> None:
    fill(ledger)
    page = send(strict, anna, "/", **FORM)
    assert (page.status, page.headers["retry-after"]) == (429, "10")
    text = page.body.decode()
    assert f"Not submitted: {SAYS}" in text
    assert 'value="10.3.20.8"' in text
    assert ledger.queue().waiting_total == MAX


def test_finding_the_rule_says_so(strict: Web, anna: Person, ledger: Ledger) -> None:
    run, *_ = fill(ledger)
    page = send(strict, anna, f"/runs/{run}/find-rule", key="k")
    assert (page.status, page.headers["retry-after"]) == (429, "10")
    assert SAYS in page.body.decode()


def hidden(page: Reply, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.body.decode())
    assert found, name
    return found[1]


def test_a_batch_is_refused_as_a_whole(strict: Web, anna: Person, ledger: Ledger) -> None:
    rows = "\n".join(f"10.1.10.20, 10.3.20.8, {port}" for port in (22, 80, 443))
    seen = send(strict, anna, "/many", rows=rows)
    sent = {"rows": rows, "confirmed": "yes", "seen": hidden(seen, "seen"), "key": hidden(seen, "key")}
    (stored,) = fill(ledger, 1)
    page = send(strict, anna, "/many", **sent)
    assert (page.status, page.headers["retry-after"]) == (429, "10")
    text = page.body.decode()
    assert "Nothing was submitted: there are 3 questions, but you can add only 2 now (your limit is 3 waiting" in text
    assert ledger.queue().waiting_total == 1
    ledger.cancel(stored)
    sent |= {"key": hidden(page, "key")}
    assert send(strict, anna, "/many", **sent).status == 303
    assert (ledger.queue().waiting_total, ledger.waiting_of("anna")) == (1, 3)
    assert send(strict, anna, "/many", **sent).status == 303, "the same batch again is not more runs"
    assert (ledger.queue().waiting_total, ledger.waiting_of("anna")) == (1, 3)


def test_the_command_line_says_so_with_exit_code_4(server: Server, tmp_path: Path) -> None:
    settings = load_settings(redis_url=server.url, data=tmp_path)
    with Ledger.connect(settings) as ledger:
        fill(ledger, MAX, "cli")
        env = os.environ | {"REACHQ_REDIS_URL": server.url, "REACHQ_WAITING_MAX": str(MAX)}
        words = [str(Path(sys.executable).with_name("reachq")), "submit", "10.1.10.20", "10.3.20.8", "22"]
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 4, done
        assert done.stderr.startswith("reachq: cli has 3 waiting questions, and 3 are allowed for each user;")
        assert len(done.stderr.splitlines()) == 1
        assert ledger.runs(state=State.PENDING)[1] == MAX


def test_a_waiting_runs_page_shows_its_place_in_the_fair_order(strict: Web, ledger: Ledger) -> None:
    anna = person(ledger, "anna", "user")
    annas = fill(ledger, 40)
    (bobs,) = fill(ledger, 1, "bob")
    places = {annas[31]: 32, annas[32]: 34, annas[39]: 41}
    for run, place in places.items():
        page = strict.get(f"/runs/{run}", headers=anna.browser() | {"Accept": "text/html"}, token=None).body.decode()
        assert f"<dd data-position>{place} of 41</dd>" in page
    queue = strict.get("/api/queue").json
    assert [run["position"] for run in queue["waiting"]] == list(range(1, 42))
    assert [run["id"] for run in queue["waiting"]] == [*annas[:32], bobs, *annas[32:]]
    assert {run["wait_reason"] for run in queue["waiting"][33:]} == {beyond_line(32)}
    assert {run["wait_code"] for run in queue["waiting"][33:]} == {"behind-own"}
