"""Several networks over HTTP: added and removed, each with its own pages and API, and never confused."""

from __future__ import annotations

import re
from contextlib import closing

import pytest
import redis

from ledger.people.records import UserRole
from ledger.runs.requests import RunRequest
from ledger.runs.run import State
from ledger.store import Ledger
from tests.support.people import person
from tests.support.waiting import wait_until
from tests.support.web import EventStream, Web

ASKED = {"source": "10.1.10.20", "destination": "10.3.20.8", "services": "443"}


@pytest.fixture
def lab(web: Web, ledger: Ledger) -> Ledger:
    """The second network."""
    assert web.call("PUT", "/api/networks/lab").status == 201
    return ledger.of_network("lab")


def test_networks_are_added_listed_and_removed(web: Web, lab: Ledger) -> None:
    assert web.call("PUT", "/api/networks/lab").status == 200
    listed = web.get("/api/networks").json["networks"]
    assert [(one["name"], one["current"], one["default"]) for one in listed] == [
        ("lab", "", False),
        ("main", "", True),
    ]
    assert web.call("DELETE", "/api/networks/lab").json["name"] == "lab"
    assert web.get("/networks/lab/api/queue").status == 404
    assert web.call("DELETE", "/api/networks/lab").status == 404
    assert web.call("DELETE", "/api/networks/main").json["type"].endswith("network-in-use")


def test_a_run_is_of_the_network_in_the_address(web: Web, ledger: Ledger, lab: Ledger) -> None:
    answer = web.call("POST", "/networks/lab/api/runs", ASKED)
    run_id = answer.json["id"]
    assert (answer.status, answer.json["bench"]) == (202, "lab")
    assert answer.headers["location"] == f"/networks/lab/api/runs/{run_id}"
    assert [lab.runs(state=State.PENDING)[1], ledger.runs(state=State.PENDING)[1]] == [1, 0]
    assert web.call("DELETE", "/api/networks/lab").status == 409
    assert [run["id"] for run in web.get("/networks/lab/api/runs").json["runs"]] == [run_id]
    assert web.get("/api/runs").json["runs"] == []
    assert web.get("/networks/main/api/runs").json["runs"] == []
    assert web.call("DELETE", f"/api/runs/{run_id}").json["state"] == "cancelled", "an id is enough"


def test_links_stay_in_the_network(web: Web, ledger: Ledger, lab: Ledger) -> None:
    browser = person(ledger, "ann", UserRole.ADMIN).browser()
    run, _ = lab.submit(RunRequest.parse("10.1.10.20", "10.3.20.8", "443"), user="ann")
    pages = (
        "/",
        "/runs",
        "/network",
        "/snapshots",
        "/board",
        "/hosts",
        "/people",
        "/many",
        "/account",
        f"/runs/{run.id}",
    )
    for page in pages:
        found = web.get(f"/networks/lab{page}", headers=browser, token=None)
        assert found.status == 200, page
        links = set(re.findall(r'\s(?:href|action|data-live|data-refresh|hx-get)="(/[^"]*)', found.body.decode()))
        outside = {link for link in links if not link.startswith(("/networks", "/static/", "/rq", "/sign-out"))}
        assert not outside, page
        assert b'aria-current="true">lab</a>' in found.body, page
    shown = web.get(f"/runs/{run.id}", headers=browser, token=None)
    assert (shown.status, shown.headers["location"]) == (302, f"/networks/lab/runs/{run.id}")
    lab.cancel(run.id)


def test_forms_stay_in_the_network(web: Web, ledger: Ledger, lab: Ledger) -> None:
    ann = person(ledger, "ann", UserRole.ADMIN)
    headers = {**ann.browser(), "Content-Type": "application/x-www-form-urlencoded"}
    done = web.call("POST", "/networks/lab/board/pause", b"why=a+test", headers, token=None)
    assert (done.status, done.headers["location"]) == (303, "/networks/lab/board?said=paused")
    assert (lab.paused() is not None, ledger.paused()) == (True, None)


def test_without_a_session_the_sign_in_page_leads_back(web: Web, lab: Ledger) -> None:
    answer = web.get("/networks/lab/board", token=None)
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in?next=/networks/lab/board")
    assert web.get("/networks/lab/api/queue", token=None).status == 401


def test_only_admins_add_and_remove_networks(web: Web, ledger: Ledger, lab: Ledger) -> None:
    for role in (UserRole.USER, UserRole.VIEWER):
        headers = person(ledger, f"{role}-1", role).program()
        assert web.get("/api/networks", headers=headers, token=None).status == 200
        for method, name in (("PUT", "other"), ("DELETE", "lab")):
            assert web.call(method, f"/api/networks/{name}", headers=headers, token=None).status == 403
    assert ledger.network_names() == ["lab", "main"]


@pytest.mark.parametrize("name", ["nope", "LAB", "..", "%2e%2e", "la%62/..", "user"])
def test_an_unknown_network_is_not_found(web: Web, client: redis.Redis, name: str) -> None:
    assert web.get(f"/networks/{name}/api/queue").status in (400, 404)
    assert web.call("POST", f"/networks/{name}/api/runs", ASKED).status in (400, 404, 405)
    assert not client.keys("reachq:run:*")


def test_an_event_stream_shows_the_events_of_its_network(web: Web, ledger: Ledger, lab: Ledger) -> None:
    asked = RunRequest.parse("10.1.10.20", "10.3.20.8", "443")
    with closing(EventStream(web, network="/networks/lab")) as stream:
        first, _ = ledger.submit(asked, user="ann")
        second, _ = lab.submit(asked, user="ann")
        wait_until(lambda: len(stream.events) >= 2, 10, "both events came")
    assert [(event["kind"], event["run_id"]) for event in stream.events[:2]] == [
        ("elsewhere", ""),
        ("submitted", second.id),
    ]
    ledger.cancel(first.id)
    lab.cancel(second.id)
