"""Hosts over HTTP: listed, drained and resumed, by admins, from the API and from the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.people.records import UserRole
from ledger.redis.keys import LOCAL
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.attacks import FORM, PAGE
from tests.support.people import person
from tests.support.runs import DETAILED, QUICK, queue_of, running, worker_of
from tests.support.web import Web

DRAIN = "/api/hosts/east/drain"


@pytest.fixture
def east(settings: Settings) -> Iterator[Ledger]:
    """A second host, with two quick workers and a detailed one; its bench is up."""
    with Ledger.connect(settings.model_copy(update={"host_name": "east"})) as other:
        for mode, number in ((QUICK, 10), (QUICK, 11), (DETAILED, 12)):
            other.announce(worker_of(queue_of(mode, number)), queue_of(mode, number), mode, 1)
        other.report_bench({"state": "up", "facts": "b17e42431a16"})
        yield other


def test_hosts_are_listed_with_their_benches(web: Web, ledger: Ledger, east: Ledger) -> None:
    running(ledger)
    local, other = web.get("/api/hosts").json["hosts"]
    assert (local["name"], local["bench"], local["workers"]) == (
        "local",
        "unknown",
        {"quick": 1, "detailed": 0, "bulk": 0},
    )
    assert (local["running"], local["lanes"], local["lanes_in_use"], local["drained"]) == (1, 32, 1, None)
    assert (other["name"], other["bench"], other["facts"]) == ("east", "up", "b17e42431a16")
    assert (other["workers"], other["running"], len(other["machines"])) == (
        {"quick": 2, "detailed": 1, "bulk": 0},
        0,
        1,
    )


def test_without_a_worker_there_is_the_host_without_a_name(web: Web) -> None:
    assert [(host["name"], host["machines"]) for host in web.get("/api/hosts").json["hosts"]] == [("local", [])]


def test_a_host_is_drained_and_resumed(web: Web, ledger: Ledger, east: Ledger) -> None:
    drained = web.call("PUT", DRAIN, {"why": "new  memory"})
    assert drained.status == 200
    assert (drained.json["name"], drained.json["drained"]["why"]) == ("east", "new memory")
    assert web.call("PUT", DRAIN, {"why": "again"}).json == drained.json, "the first reason is kept"
    assert set(ledger.drains()) == {"east"}
    for _ in range(2):
        resumed = web.call("DELETE", DRAIN)
        assert (resumed.status, resumed.json["drained"]) == (200, None)
    assert ledger.drains() == {}
    assert web.call("PUT", DRAIN, {}).json["drained"]["why"] == ""


def test_the_addresses_of_a_network_have_the_hosts_too(web: Web, ledger: Ledger, east: Ledger) -> None:
    assert web.call("PUT", "/api/networks/lab").status == 201
    assert web.call("PUT", f"/networks/lab{DRAIN}", {}).json["type"].endswith("host-not-found"), "it has no worker"
    web.call("PUT", DRAIN, {})
    assert [host["name"] for host in web.get("/networks/lab/api/hosts").json["hosts"]] == ["east"], "a drain is of all"
    assert web.call("DELETE", f"/networks/lab{DRAIN}").json["drained"] is None
    assert ledger.drains() == {}


def test_an_unknown_host_is_named_as_unknown_and_not_repeated(web: Web, east: Ledger) -> None:
    for method, body in (("PUT", {"why": ""}), ("DELETE", None)):
        answer = web.call(method, "/api/hosts/nosuch/drain", body)
        assert (answer.status, answer.json["type"]) == (404, "urn:reachq:problem:host-not-found")
        assert answer.json["detail"] == "No host has this name. The hosts are: east."


@pytest.mark.parametrize(
    ("body", "status"), [({"why": "x" * 201}, 422), ({"why": "\x07"}, 422), ({"why": 1}, 422), ({"who": "x"}, 422)]
)
def test_a_reason_that_cannot_be_shown_is_refused(
    web: Web, ledger: Ledger, east: Ledger, body: dict[str, object], status: int
) -> None:
    answer = web.call("PUT", DRAIN, body)
    assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (status, list(body))
    assert ledger.drains() == {}


@pytest.mark.parametrize("role", [UserRole.USER, UserRole.VIEWER])
def test_only_admins_drain_and_resume(web: Web, ledger: Ledger, east: Ledger, role: UserRole) -> None:
    token = person(ledger, "ben", role).program()
    assert web.get("/api/hosts", headers=token, token=None).status == 200
    assert web.call("PUT", DRAIN, {}, token, token=None).status == 403
    assert web.call("DELETE", DRAIN, None, token, token=None).status == 403
    assert ledger.drains() == {}


def test_a_run_and_a_lane_name_their_host(web: Web, ledger: Ledger, east: Ledger) -> None:
    run = running(ledger)
    assert web.get(f"/api/runs/{run.id}").json["host"] == LOCAL
    lanes = web.get("/api/lanes").json["lanes"]
    assert [(lane["host"], lane["dscp"]) for lane in lanes] == [
        (host, dscp) for host in ("local", "east") for dscp in range(32, 64)
    ]


def test_the_page_drains_and_resumes(web: Web, ledger: Ledger, east: Ledger) -> None:
    admin, viewer = person(ledger, "ann", UserRole.ADMIN), person(ledger, "vera", UserRole.VIEWER)

    def act(path: str, body: bytes) -> tuple[int, str]:
        answer = web.call("POST", path, body, admin.browser() | FORM | PAGE, token=None)
        return answer.status, answer.headers.get("location", "")

    assert act("/hosts/east/drain", b"why=new+memory") == (303, "/hosts?said=host-drained")
    assert act("/hosts/east/drain", b"why=other") == (303, "/hosts?said=host-drained-already")
    page = web.get("/hosts", headers=admin.browser() | PAGE, token=None).body.decode()
    assert "new memory" in page
    assert 'action="/hosts/east/resume"' in page
    seen = web.get("/hosts", headers=viewer.browser() | PAGE, token=None).body.decode()
    assert "new memory" in seen
    assert 'action="/hosts/' not in seen
    assert act("/hosts/east/resume", b"") == (303, "/hosts?said=host-resumed")
    assert act("/hosts/east/resume", b"") == (303, "/hosts?said=host-not-drained")
    assert act("/hosts/nosuch/resume", b"")[0] == act("/hosts/nosuch/drain", b"why=x")[0] == 404
    refused = web.call("POST", "/hosts/east/drain", b"why=%07", admin.browser() | FORM | PAGE, token=None)
    assert refused.status == 422
    assert b"The reason must be at most 200 printable characters." in refused.body


def test_machines_that_share_a_name_are_reported(
    web: Web, ledger: Ledger, east: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "second-machine")
    east.announce("another", queue_of(QUICK, 20), QUICK, 1)
    admin = person(ledger, "ann", UserRole.ADMIN)
    page = web.get("/hosts", headers=admin.browser() | PAGE, token=None).body.decode()
    assert "2 machines have the host name east:" in page
    assert "second-machine" in page


def test_the_board_groups_the_lanes_by_host(web: Web, ledger: Ledger, east: Ledger) -> None:
    running(ledger)
    headers = person(ledger, "ann", UserRole.ADMIN).browser() | PAGE
    page = web.get("/board", headers=headers, token=None).body.decode()
    assert page.count('<ul class="lanes">') == 2
    assert "Host local" in page
    assert 'id="lane-east-63"' in page
    assert "/ 64" in page


def test_the_page_of_a_run_names_the_host_if_there_are_several(web: Web, ledger: Ledger) -> None:
    headers = person(ledger, "ann", UserRole.ADMIN).browser() | PAGE
    run = running(ledger)
    assert b"of host" not in web.get(f"/runs/{run.id}", headers=headers, token=None).body
    ledger.connection.client.zadd(ledger.keys.hosts, {"east": 1})
    assert (
        f"Started on lane {run.dscp} of host local".encode()
        in web.get(f"/runs/{run.id}", headers=headers, token=None).body
    )
