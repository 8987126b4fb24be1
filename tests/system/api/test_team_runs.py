"""With REACHQ_TEAM_RUNS, users see the runs and comparisons of all users, and still change only their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ledger.store import Ledger
from tests.support.compared import a_change
from tests.support.people import Person, person
from tests.support.runs import a_request, running
from tests.support.server import Server
from tests.support.web import Web


@pytest.fixture
def team(server: Server, tmp_path: Path) -> Iterator[Web]:
    web = Web(server.url, tmp_path, REACHQ_TEAM_RUNS="true")
    yield web
    web.stop()


@pytest.fixture
def ben(team: Web, ledger: Ledger) -> Person:
    return person(ledger, "ben", "user")


def test_a_user_sees_the_runs_of_others(team: Web, ben: Person, ledger: Ledger) -> None:
    run, _ = ledger.submit(a_request(), user="anna")
    assert team.get(f"/api/runs/{run.id}", headers=ben.program(), token=None).json["user"] == "anna"
    assert team.get("/api/runs", headers=ben.program(), token=None).json["total"] == 1
    assert team.get("/api/queue", headers=ben.program(), token=None).json["waiting"][0]["source"] == run.source
    for path in ("/runs", f"/runs/{run.id}", "/runs?user=anna"):
        page = team.get(path, headers=ben.browser(), token=None)
        assert (page.status, run.source in page.body.decode()) == (200, True), path


def test_a_user_sees_the_comparisons_of_others(team: Web, ben: Person, ledger: Ledger) -> None:
    change = ledger.add_change(a_change(user="anna"))
    assert team.get(f"/api/changes/{change.id}", headers=ben.program(), token=None).json["user"] == "anna"
    assert len(team.get("/api/changes", headers=ben.program(), token=None).json["changes"]) == 1
    answer = team.call("DELETE", f"/api/changes/{change.id}", None, ben.program(), token=None)
    assert answer.status == 403
    assert ledger.change(change.id) == change


def test_a_user_cannot_cancel_the_runs_of_others(team: Web, ben: Person, ledger: Ledger) -> None:
    waiting, _ = ledger.submit(a_request(), user="anna")
    busy = running(ledger)
    form = ben.browser() | {"Content-Type": "application/x-www-form-urlencoded"}
    for run in (waiting, busy):
        answer = team.call("DELETE", f"/api/runs/{run.id}", None, ben.program(), token=None)
        assert (answer.status, answer.json["detail"]) == (
            403,
            "The run belongs to another user: only an admin may cancel it.",
        )
        assert team.call("POST", f"/runs/{run.id}/cancel", b"", form, token=None).status == 403
        assert "Cancel this run" not in team.get(f"/runs/{run.id}", headers=ben.browser(), token=None).body.decode()
    for filters in ({}, {"user": "anna"}):
        team.call("POST", "/runs/cancel", urlencode(filters).encode(), form, token=None)
    assert team.call("DELETE", "/api/runs?user=anna", None, ben.program(), token=None).status == 403
    assert ledger.run(waiting.id).state == "pending"
    assert not ledger.run(busy.id).cancelling
    mine, _ = ledger.submit(a_request(), user="ben")
    assert team.call("DELETE", f"/api/runs/{mine.id}", None, ben.program(), token=None).status == 202
