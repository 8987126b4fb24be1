"""What each role may do over the API, and what a user sees of other users: through the real server."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
import redis

from app.api.routes import Route
from ledger.people.records import UserRole
from ledger.store import Ledger
from tests.support.people import Person, person
from tests.support.runs import a_request, running
from tests.support.web import QUESTION, TOKEN, Web

READS = [
    *("/api/runs", "/api/queue", "/api/lanes", "/api/limits", "/api/bench", "/api/hosts"),
    *("/api/changes", "/api/management-flows"),
]


@pytest.fixture
def people(web: Web, ledger: Ledger) -> dict[str, Person]:
    return {role: person(ledger, f"{role}-1", role) for role in UserRole}


def problem(answer: object) -> tuple[int, str]:
    return answer.status, answer.json["type"].rpartition(":")[2]  # type: ignore[attr-defined]


@pytest.mark.parametrize("role", UserRole)
@pytest.mark.parametrize("way", ["browser", "program"])
def test_everybody_reads(web: Web, people: dict[str, Person], role: str, way: str) -> None:
    for path in READS:
        assert web.get(path, headers=getattr(people[role], way)(), token=None).status == 200, path


@pytest.mark.parametrize("way", ["browser", "program"])
def test_viewers_change_nothing(web: Web, people: dict[str, Person], ledger: Ledger, way: str) -> None:
    run, _ = ledger.submit(a_request(), user="viewer-1")
    headers = getattr(people["viewer"], way)()
    for method, path, body in (("POST", "/api/runs", QUESTION), ("DELETE", f"/api/runs/{run.id}", None)):
        answer = web.call(method, path, body, headers, token=None)
        assert problem(answer) == (403, "forbidden"), path
        assert "your role is viewer" in answer.json["detail"]
    assert ledger.run(run.id).state == "pending"
    assert ledger.runs()[1] == 1


@pytest.mark.parametrize("way", ["browser", "program"])
@pytest.mark.parametrize("role", ["user", "admin"])
def test_users_and_admins_submit_as_themselves(web: Web, people: dict[str, Person], role: str, way: str) -> None:
    headers = getattr(people[role], way)()
    answer = web.call("POST", "/api/runs", QUESTION, headers, token=None)
    assert (answer.status, answer.json["user"]) == (202, f"{role}-1")
    assert web.call("DELETE", answer.headers["location"], None, headers, token=None).status == 202


def test_the_systems_token_is_an_admin_called_api(web: Web) -> None:
    assert web.submit().json["user"] == "api"


def test_anothers_run_is_not_there_for_a_user(web: Web, people: dict[str, Person], ledger: Ledger) -> None:
    run, _ = ledger.submit(a_request(), user="anna")
    none = "00000000-0000-0000-0000-000000000000"
    for method, rest in (("GET", ""), ("GET", "/result"), ("GET", "/log"), ("DELETE", "")):
        answers = [
            web.call(method, f"/api/runs/{run_id}{rest}", None, people["user"].program(), token=None)
            for run_id in (run.id, none)
        ]
        assert {problem(answer) for answer in answers} == {(404, "run-not-found")}, rest
        texts = {answer.body.decode().replace(run.id, none) for answer in answers}
        assert len(texts) == 1, "the same as for a run that does not exist"
    assert ledger.run(run.id).state == "pending"
    for role in ("viewer", "admin"):
        assert web.get(f"/api/runs/{run.id}", headers=people[role].program(), token=None).status == 200


def test_a_user_lists_own_runs_only(web: Web, people: dict[str, Person], ledger: Ledger) -> None:
    own = [ledger.submit(a_request(), user="user-1")[0].id for _ in range(3)]
    ledger.submit(a_request(), user="anna")
    page = web.get("/api/runs?limit=2", headers=people["user"].program(), token=None).json
    assert ([run["id"] for run in page["runs"]], page["total"]) == (own[:0:-1], 3)
    page = web.get("/api/runs?limit=2&offset=2", headers=people["user"].program(), token=None).json
    assert ([run["id"] for run in page["runs"]], page["total"]) == (own[:1], 3)
    assert web.get("/api/runs", headers=people["viewer"].program(), token=None).json["total"] == 4


def test_the_queue_shows_a_user_the_place_of_others_runs_and_no_more(
    web: Web, people: dict[str, Person], ledger: Ledger
) -> None:
    busy = running(ledger)
    secret, _ = ledger.submit(a_request(source="10.1.10.66", source_port=31337), user="anna")
    own, _ = ledger.submit(a_request(), user="user-1")
    ended, _ = ledger.submit(a_request(), user="anna")
    ledger.cancel(ended.id)
    answer = web.get("/api/queue", headers=people["user"].program(), token=None)
    queue = answer.json
    first, second = queue["waiting"]
    assert (first["id"], first["position"], first["mode"], first["state"]) == (secret.id, 1, "quick", "pending")
    assert (second["id"], second["position"], second["user"], second["source"]) == (own.id, 2, "user-1", own.source)
    for run in (first, *queue["running"], *queue["finished"]):
        assert {run[name] for name in ("user", "source", "destination", "worker", "verdict", "error")} == {""}
        assert (run["services"], run["source_port"]) == ([], None)
    assert [run["id"] for run in queue["running"]] == [busy.id]
    assert "anna" not in answer.body.decode()
    assert "31337" not in answer.body.decode()
    assert web.get("/api/queue", headers=people["viewer"].program(), token=None).json["waiting"][0]["user"] == "anna"


def test_the_bench_does_not_show_a_user_whose_hosts_it_holds(
    web: Web, people: dict[str, Person], ledger: Ledger
) -> None:
    ledger.report_bench({"state": "up", "facts": "3f2a", "hosts": [{"address": "10.1.10.66"}]})
    assert "hosts" not in web.get("/api/bench", headers=people["user"].program(), token=None).json["status"]
    assert "hosts" in web.get("/api/bench", headers=people["viewer"].program(), token=None).json["status"]


def test_a_key_of_one_user_is_not_anothers(web: Web, ledger: Ledger) -> None:
    anna, ben = person(ledger, "anna", "user"), person(ledger, "ben", "user")
    key = {"Idempotency-Key": "the-same"}
    first = web.call("POST", "/api/runs", QUESTION, anna.program() | key, token=None)
    again = web.call("POST", "/api/runs", QUESTION, anna.program() | key, token=None)
    other = web.call("POST", "/api/runs", QUESTION, ben.program() | key, token=None)
    assert (first.status, again.status, other.status) == (202, 200, 202)
    assert first.json["id"] == again.json["id"] != other.json["id"]


def test_the_dashboard_is_for_admins(web: Web, people: dict[str, Person]) -> None:
    for way in ("browser", "program"):
        for role, status in (("viewer", 403), ("user", 403), ("admin", 200)):
            assert web.get("/rq/", headers=getattr(people[role], way)(), token=None).status == status, role
    answer = web.get("/rq/", headers={"Accept": "text/html"}, token=None)
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in?next=/rq/")


def test_a_token_ends_with_its_owner_or_by_being_revoked(web: Web, people: dict[str, Person], ledger: Ledger) -> None:
    user = people["user"]
    ledger.update_user("user-1", role=UserRole.VIEWER, by="test")
    assert web.call("POST", "/api/runs", QUESTION, user.program(), token=None).status == 403
    (token,) = ledger.tokens("user-1")
    ledger.revoke_token("user-1", token.id, by="test")
    assert web.get("/api/runs", headers=user.program(), token=None).status == 401
    ledger.remove_user("viewer-1", by="test")
    assert web.get("/api/runs", headers=people["viewer"].program(), token=None).status == 401
    assert web.get("/api/runs", headers=people["viewer"].browser(), token=None).status == 401


def test_secrets_in_the_address_do_not_count(web: Web, people: dict[str, Person], client: redis.Redis) -> None:
    admin = people["admin"]
    for name in ("token", "access_token", "reachq", "session", "key"):
        for secret in (admin.token, admin.cookie, TOKEN):
            assert web.get(f"/api/lanes?{name}={secret}", token=None).status == 401
    assert web.get("/api/lanes", headers={"Cookie": f"reachq={admin.token}"}, token=None).status == 401
    assert web.get("/api/lanes", headers={"Authorization": f"Bearer {admin.cookie}"}, token=None).status == 401
    assert web.get("/api/lanes", headers={"Cookie": f"__Host-reachq={admin.cookie}"}, token=None).status == 401


def test_a_bearer_makes_a_cookie_ignored(web: Web, people: dict[str, Person]) -> None:
    admin, viewer = people["admin"], people["viewer"]
    for bearer in ("wrong", "", "rq_" + "x" * 43):
        headers = admin.browser() | {"Authorization": f"Bearer {bearer}"}
        assert web.get("/api/runs", headers=headers, token=None).status == 401, bearer
    headers = admin.browser() | viewer.program()
    assert problem(web.call("POST", "/api/runs", QUESTION, headers, token=None)) == (403, "forbidden")
    basic = admin.browser() | {"Authorization": "Basic YTpi"}  # the proxy's own header, forwarded
    assert web.get("/api/runs", headers=basic, token=None).status == 200


def test_a_route_that_changes_something_cannot_be_declared_for_viewers() -> None:
    with pytest.raises(ValueError, match="say which role"):
        Route("POST", "/x", "x", lambda: None, "x", {})  # type: ignore[arg-type, return-value]


def test_a_user_cancels_only_own_runs(web: Web, people: dict[str, Person], ledger: Ledger) -> None:
    others, own = web.submit().json["id"], people["user"].program()
    mine = web.call("POST", "/api/runs", QUESTION, own, token=None).json["id"]
    for user in ("api", "*"):
        refused = web.call("DELETE", f"/api/runs?user={user}", None, own, token=None)
        assert (refused.status, refused.json["errors"][0]["field"]) == (403, "user")
    assert web.call("DELETE", "/api/runs", None, people["viewer"].program(), token=None).status == 403
    answer = web.call("DELETE", "/api/runs", None, own, token=None)
    assert (answer.status, answer.json) == (200, {"cancelled": 1, "cancelling": 0})
    assert [ledger.run(run_id).state for run_id in (others, mine)] == ["pending", "cancelled"]


def test_the_page_cancels_the_runs_that_its_filters_match(web: Web, people: dict[str, Person], ledger: Ledger) -> None:
    anna = people["user"].browser() | {"Content-Type": "application/x-www-form-urlencoded"}
    for services in ("53/udp", "443/tcp"):
        web.call("POST", "/api/runs", {**QUESTION, "services": services}, people["user"].program(), token=None)
    others = web.submit().json["id"]
    shown = web.get("/runs?text=53", headers=anna, token=None).body.decode()
    assert "Cancel all your waiting and running runs that match" in shown
    sent = web.call("POST", "/runs/cancel", urlencode({"text": "53", "user": "api"}).encode(), anna, token=None)
    assert (sent.status, sent.headers["location"]) == (303, "/runs?text=53&said=cancelled")
    left = {str(run.services[0]): run.state for run in ledger.search(user=people["user"].name)[0]}
    assert left == {"53/udp": "cancelled", "443/tcp": "pending"}
    sent = web.call("POST", "/runs/cancel", b"verdict=NO", anna, token=None)
    assert sent.headers["location"] == "/runs?verdict=NO&said=none-cancelled"
    assert ledger.run(others).state == "pending"
    viewer = web.get("/runs", headers=people["viewer"].browser(), token=None).body.decode()
    assert "waiting and running runs" not in viewer
