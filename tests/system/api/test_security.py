"""Attacks on who may do what, a row each: forged requests, another's run, other roles, secrets, sessions, races.

Every address is taken from the application's own map, so that none can be forgotten. docs/security.md is the table of
all attacks; beside this: test_security_markup.py, test_security_input.py, and from before test_guard.py (the guard
alone, trusted proxies), test_roles.py (the API), test_auth.py (the system's token), test_bad_input.py (JSON).
"""

from __future__ import annotations

import json
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
import redis

from app.people.accounts import Accounts
from ledger.errors import LastAdmin
from ledger.people.records import UserRole
from ledger.runs.records import Choice
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support.attacks import FORM, NONE, PAGE, Address, addresses, ours, problem_of, send, values
from tests.support.patience import patience
from tests.support.people import PASSWORD, Person, Served, person
from tests.support.results import answer_with, sample
from tests.support.runs import a_request, running
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.web import TOKEN, EventStream, Reply, Web, application

UNSAFE, SAFE = ours(safe=False), ours(safe=True)
OPEN_TO_ALL = {
    "GET /sign-in", "POST /sign-in", "GET /static/<path:name>", "GET /healthz", "GET /readyz", "GET /api/openapi.json",
}  # fmt: skip
OWN_ACCOUNT = {
    "POST /sign-out", "POST /account/password", "POST /account/tokens", "POST /account/tokens/<token_id>/revoke",
    "POST /account/sessions/<session_id>/revoke",
}  # fmt: skip
"""Everything that a viewer may change."""


@pytest.fixture
def people(web: Web, ledger: Ledger) -> dict[str, Person]:
    return {role: person(ledger, f"{role}-1", role) for role in UserRole}


@pytest.fixture
def unchanged(client: redis.Redis) -> Callable[[], object]:
    """A snapshot of all stored data, without the times of last use: two are equal when nothing was changed."""

    def look() -> object:
        kept = {
            key: client.dump(key)
            for key in client.scan_iter()
            if not re.match("reachq:((user|session|token):|layout$)", key)  # each look at the server sets the layout
        }
        return kept, client.xlen("reachq:events")

    return look


# CSRF: what a page of another site, or one that was not given the token, can make a browser send

FORGED: dict[str, tuple[bool, dict[str, str]]] = {
    "no token": (False, {}),
    "a token made up": (False, {"X-CSRF-Token": "x" * 32}),
    "another site's page": (True, {"Origin": "http://evil.example"}),
    "a sandboxed frame": (True, {"Origin": "null"}),
    "cross-site": (True, {"Sec-Fetch-Site": "cross-site"}),
    "a sister site": (True, {"Sec-Fetch-Site": "same-site"}),
}


FORGERIES = [
    (a, attack) for a in UNSAFE for attack, (with_token, _) in FORGED.items() if with_token or a.role != "public"
]
"""A client that signs in has no session and no token yet: only the origin of the request can be checked."""


@pytest.mark.parametrize(("address", "attack"), FORGERIES, ids=str)
def test_csrf(
    web: Web, people: dict[str, Person], ledger: Ledger, unchanged: Callable[[], object], address: Address, attack: str
) -> None:
    admin = people["admin"]
    run, _ = ledger.submit(a_request(), user="admin-1")
    filling = values(run.id, name="user-1", other=admin.session.id)
    with_token, headers = FORGED[attack]
    before = unchanged()
    answer = send(web, address, admin, filling, headers=headers, csrf=with_token)
    assert answer.status == 403, answer.body
    assert b"The request was rejected" in answer.body
    assert unchanged() == before
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("address", [a for a in UNSAFE if a.role != "public"], ids=str)
def test_csrf_with_the_token_of_another_session(
    web: Web, people: dict[str, Person], unchanged: Callable[[], object], address: Address
) -> None:
    before = unchanged()
    for where in ("header", "field"):
        form = {"csrf": people["user"].session.csrf} if where == "field" else {}
        headers = {"X-CSRF-Token": people["user"].session.csrf} if where == "header" else {}
        answer = send(web, address, people["admin"], values(), form=form, headers=headers, csrf=False)
        assert answer.status == 403, where
    assert unchanged() == before


@pytest.mark.parametrize("address", UNSAFE, ids=str)
def test_none_of_these_is_refused_for_want_of_a_token_when_it_is_there(
    web: Web, people: dict[str, Person], address: Address
) -> None:
    """Otherwise the rows above would pass for another reason."""
    assert b"was rejected" not in send(web, address, people["admin"], values()).body


@pytest.mark.parametrize("address", [a for a in SAFE if a.path != "/api/events"], ids=str)
def test_a_link_changes_nothing(
    web: Web, people: dict[str, Person], ledger: Ledger, unchanged: Callable[[], object], address: Address
) -> None:
    """What another site can always cause in a browser: GET, with everything in the address."""
    run, _ = ledger.submit(a_request(), user="admin-1")
    before = unchanged()
    query = urlencode({"confirmed": "yes", "why": "x", "role": "admin", "name": "x", "_method": "DELETE", "id": run.id})
    send(web, address, people["admin"], values(run.id))
    web.get(f"{address.filled(values(run.id))}?{query}", headers=people["admin"].browser() | PAGE, token=None)
    assert unchanged() == before


OVERRIDES = [{"X-HTTP-Method-Override": "DELETE"}, {"X-HTTP-Method": "DELETE"}, {"X-Method-Override": "DELETE"}]


@pytest.mark.parametrize("headers", OVERRIDES, ids=lambda headers: next(iter(headers)))
def test_method_override(web: Web, people: dict[str, Person], ledger: Ledger, headers: dict[str, str]) -> None:
    run, _ = ledger.submit(a_request(), user="admin-1")
    for query in ("", "?_method=DELETE"):
        answer = web.get(f"/api/runs/{run.id}{query}", headers=people["admin"].browser() | headers, token=None)
        assert answer.status == (422 if query else 200)
    assert ledger.run(run.id).state == "pending"


# roles, on every address


@pytest.mark.parametrize("address", addresses(), ids=str)
def test_nobody_gets_in(web: Web, address: Address) -> None:
    assert (str(address) in OPEN_TO_ALL) == (address.role == "public")
    filling = values() | {
        "instance_number": "0", "queue_name": "q", "registry_name": "queued", "per_page": "8", "order": "asc",
        "page": "1", "job_id": NONE, "filename": "x",
    }  # fmt: skip
    for query in ("", f"?token={TOKEN}"):
        answer = web.call(address.method, address.filled(filling) + query, headers=PAGE, token=None)
        if address.role == "public":
            assert answer.status in (200, 403, 404, 503)
        else:
            assert answer.status in (303, 401), answer.body
            assert answer.status == 401 or answer.headers["location"].startswith("/sign-in")


@pytest.mark.parametrize("address", [a for a in UNSAFE if a.role != "public"], ids=str)
def test_viewers_write_nothing(
    web: Web, people: dict[str, Person], ledger: Ledger, unchanged: Callable[[], object], address: Address
) -> None:
    run, _ = ledger.submit(a_request(), user="viewer-1")
    before = unchanged()
    if address.role == "viewer":
        assert str(address) in OWN_ACCOUNT, "a viewer changes nothing but their own account"
        return
    filling = values(run.id, name="viewer-1")
    assert send(web, address, people["viewer"], filling, form={"role": "admin"}).status == 403
    headers = people["viewer"].program() | FORM
    assert web.call(address.method, address.filled(filling), b"role=admin", headers, token=None).status == 403
    assert unchanged() == before


@pytest.mark.parametrize("address", [a for a in addresses() if a.role in ("admin", "overseer")], ids=str)
def test_users_get_nowhere_near_the_board_people_audit_metrics_and_rq(
    web: Web, people: dict[str, Person], unchanged: Callable[[], object], address: Address
) -> None:
    before = unchanged()
    filling = values(name="user-1") | {
        "instance_number": "0", "queue_name": "q", "registry_name": "queued", "per_page": "8", "order": "asc",
        "page": "1", "job_id": NONE, "filename": "x",
    }  # fmt: skip
    for role in ("user", *(["viewer"] if address.role == "admin" else [])):
        assert send(web, address, people[role], filling, form={"role": "admin"}).status == 403, role
    assert unchanged() == before


def test_these_addresses_are_among_them() -> None:
    for_admins = {a.path for a in addresses() if a.role == "admin"}
    assert {"/people", "/audit", "/audit.csv", "/audit.jsonl", "/board/restart", "/rq/"} <= for_admins
    assert {a.path for a in addresses() if a.role == "overseer"} == {"/metrics", "/board", "/hosts"}


# another user's run

BY_QUERY = ["/?from={}", "/compare?a={}&b={}", "/compare?a={}&b=OWN", "/compare?a=OWN&b={}"]


def answered(ledger: Ledger, user: str, number: int = 0) -> str:
    """A finished run of this user; its id."""
    run, _ = ledger.submit(a_request(), user=user)
    ledger.announce(f"w{number}", f"main-quick-{number}", run.mode, 1)
    epoch = ledger.lead("d1")
    assert epoch is not None
    ledger.promote(epoch, [Choice(run.id, run.mode, f"main-quick-{number}")])
    begun = ledger.begin(run.id, f"w{number}")
    assert begun is not None
    ledger.finish(run.id, begun.token, answer_with(sample("quick")))
    return run.id


@pytest.mark.parametrize("address", [a for a in ours() if "run_id" in a.path], ids=str)
def test_anothers_run(web: Web, people: dict[str, Person], ledger: Ledger, address: Address) -> None:
    """Does not exist: the response is the same as for an id that no run has."""
    pending = ledger.submit(a_request(), user="anna")[0].id
    done = answered(ledger, "anna")
    expected = 403 if address.role == "admin" else 404
    for run_id in (pending, done):
        texts = set()
        for tried in (run_id, NONE):
            answer = send(web, address, people["user"], values(tried))
            assert answer.status == expected, tried
            texts.add(re.sub(rb'name="csrf" value="[^"]+"', b"", answer.body.replace(run_id.encode(), NONE.encode())))
        assert len(texts) == 1, "it says more than of no run at all"
    assert ledger.run(pending).state == "pending"
    assert ledger.runs()[1] == 2


@pytest.mark.parametrize("template", BY_QUERY)
def test_anothers_run_in_a_query(web: Web, people: dict[str, Person], ledger: Ledger, template: str) -> None:
    own, others = answered(ledger, "user-1"), answered(ledger, "anna", 1)
    texts = set()
    for tried in (others, NONE):
        path = template.replace("OWN", own).replace("{}", tried)
        answer = web.get(path, headers=people["user"].browser() | PAGE, token=None)
        assert answer.status == 404, path
        texts.add(answer.body.replace(others.encode(), NONE.encode()))
    assert len(texts) == 1


SEARCHES = ["text={0}", "text={1}", "user=anna", "user=anna&text={0}", "text=10.1.10.20", "state=done", "offset=0"]


@pytest.mark.parametrize("query", SEARCHES)
def test_anothers_run_is_not_found_by_searching(
    web: Web, people: dict[str, Person], ledger: Ledger, query: str
) -> None:
    own, others = answered(ledger, "user-1"), answered(ledger, "anna", 1)
    pages = [
        web.get(path, headers=people["user"].browser() | PAGE, token=None).body.decode()
        for path in (f"/runs?{query.format(others[:8], others)}", "/", f"/runs/{own}", f"/runs/{own}/live")
    ]
    for page in pages:
        assert f"/runs/{others}" not in page
        assert "by anna" not in page
    assert own[:8] in pages[1]


def test_a_stream_tells_a_user_no_more_of_anothers_run_than_that_something_moved(
    web: Web, people: dict[str, Person], ledger: Ledger
) -> None:
    stream = listening(web, people["user"].browser())
    other, _ = ledger.submit(a_request(), user="anna")
    own, _ = ledger.submit(a_request(), user="user-1")
    Accounts(ledger).make_token("admin-1", "secret label")
    wait_until(lambda: len(stream.events) >= 3, 5, "three events")
    assert [event["kind"] for event in stream.events] == ["moved", "submitted", "moved"]
    assert stream.events[1]["run_id"] == own.id
    said = json.dumps(stream.events)
    assert not any(text in said for text in (other.id, "anna", "admin-1", "secret label"))
    stream.close()


def test_the_same_key_of_two_users_is_two_runs(web: Web, people: dict[str, Person], ledger: Ledger) -> None:
    asked = {"source": "10.1.10.20", "destination": "10.3.20.8", "services": "443", "key": "the-same"}
    submit = next(a for a in UNSAFE if str(a) == "POST /")
    places = [send(web, submit, people[role], {}, form=asked).headers["location"] for role in ("user", "admin", "user")]
    assert places[0] == places[2] != places[1]


# secrets and sessions


def sign_in(web: Web, name: str, password: str, headers: dict[str, str] | None = None) -> Reply:
    body = urlencode({"name": name, "password": password}).encode()
    return web.call("POST", "/sign-in", body, FORM | PAGE | (headers or {}), token=None)


def cookie_of(answer: Reply) -> str:
    return answer.headers["set-cookie"].partition("=")[2].partition(";")[0]


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "reachq", "cookie", "session", "csrf"])
def test_secrets_in_the_address(web: Web, people: dict[str, Person], name: str) -> None:
    admin = people["admin"]
    for secret in (TOKEN, f"Bearer {TOKEN}", admin.token, admin.cookie):
        query = urlencode({name: secret})
        assert web.get(f"/people?{query}", headers=PAGE, token=None).status == 303
        assert web.get(f"/api/runs?{query}", token=None).status == 401
        assert web.call("POST", f"/board/pause?{query}", query.encode(), FORM, token=None).status == 303


def test_a_form_with_the_csrf_token_in_the_address(web: Web, people: dict[str, Person]) -> None:
    """It would stay in logs and histories, so it is not accepted there."""
    admin = people["admin"]
    answer = web.call(
        "POST", f"/board/pause?csrf={admin.session.csrf}", b"why=x", admin.browser(csrf=False) | FORM, token=None
    )
    assert problem_of(answer) == "csrf"


def test_session_fixation(web: Web, ledger: Ledger) -> None:
    Accounts(ledger).add_user("anna", UserRole.ADMIN, PASSWORD, by="test")
    planted = "planted-by-somebody-" + "x" * 23
    answer = sign_in(web, "anna", PASSWORD, {"Cookie": f"reachq={planted}"})
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert cookie_of(answer) != planted
    assert web.get("/account", headers={"Cookie": f"reachq={planted}"}, token=None).status == 303
    mine = {"Cookie": f"reachq={cookie_of(answer)}"}
    assert web.get("/account", headers=mine, token=None).status == 200
    again = sign_in(web, "anna", PASSWORD, mine)
    assert web.get("/account", headers=mine, token=None).status == 303, "the one from before has ended"
    assert web.get("/account", headers={"Cookie": f"reachq={cookie_of(again)}"}, token=None).status == 200
    assert len(ledger.sessions("anna")) == 1


def test_the_sessions_cookie(web: Web, ledger: Ledger) -> None:
    Accounts(ledger).add_user("anna", UserRole.ADMIN, PASSWORD, by="test")
    parts = sign_in(web, "anna", PASSWORD).headers["set-cookie"].split("; ")[1:]
    kept = {part for part in parts if not part.startswith("Expires=")}
    assert kept == {"HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=604800"}


def test_a_stolen_cookie_ends_with_signing_out(web: Web, people: dict[str, Person]) -> None:
    user = people["user"]
    answer = web.call(
        "POST", "/sign-out", urlencode({"csrf": user.session.csrf}).encode(), user.browser() | FORM, token=None
    )
    assert answer.headers["set-cookie"].startswith("reachq=;")
    assert web.get("/runs", headers=user.browser(), token=None).status == 303


def test_a_token_makes_no_tokens_and_no_password(web: Web, people: dict[str, Person], ledger: Ledger) -> None:
    """Otherwise revoking a leaked token would not end what was made with it."""
    user = people["user"]
    form = urlencode({"label": "x", "old": PASSWORD, "new": "another password", "again": "another password"}).encode()
    for path in ("/account/tokens", "/account/password"):
        assert web.call("POST", path, form, user.program() | FORM, token=None).status == 422
    assert len(ledger.tokens("user-1")) == 1


def test_brute_force_by_name(web: Web, ledger: Ledger) -> None:
    """After five attempts no password is checked; an unknown name gets the same response."""
    Accounts(ledger).add_user("anna", UserRole.ADMIN, PASSWORD, by="test")
    replies = {}
    for name in ("anna", "zoe"):
        answers = [sign_in(web, name, f"wrong password {n}") for n in range(6)]
        assert [answer.status for answer in answers] == [403] * 5 + [429]
        assert 890 <= int(answers[5].headers["retry-after"]) <= 900
        replies[name] = [answer.body.replace(name.encode(), b"NAME") for answer in answers]
        assert not any("set-cookie" in answer.headers for answer in answers)
    assert replies["anna"] == replies["zoe"]
    assert sign_in(web, "ANNA ", PASSWORD).status == 429, "in any spelling"
    assert sign_in(web, "anna", PASSWORD, {"X-Forwarded-For": "10.9.9.9"}).status == 429, "from anywhere"


def test_brute_force_by_address(web: Web, ledger: Ledger) -> None:
    """One password tried on many names."""
    for number in range(50):
        assert ledger.count_login_attempt(f"name{number}", "127.0.0.1") == 0
    answer = sign_in(web, "anna", PASSWORD)
    assert (answer.status, "retry-after" in answer.headers) == (429, True)


def test_no_name_is_told_by_the_time_it_takes(web: Web, ledger: Ledger) -> None:
    Accounts(ledger).add_user("anna", UserRole.ADMIN, PASSWORD, by="test")
    sign_in(web, "somebody", PASSWORD)  # the first call creates the hash for unknown names
    took: dict[str, list[float]] = {"anna": [], "nobody": [], "no name at all!": []}
    for _ in range(3):
        for name, times in took.items():
            began = time.monotonic()
            assert sign_in(web, name, "a wrong password").status == 403
            times.append(time.monotonic() - began)
    known = statistics.median(took.pop("anna"))
    for name, times in took.items():
        assert statistics.median(times) > known / 2, name


# an open stream


def listening(web: Web, headers: dict[str, str]) -> EventStream:
    """A stream with these headers."""
    (name, value), *_ = headers.items()
    return EventStream(web, header=f"{name}: {value}")


ENDINGS: dict[str, tuple[str, Callable[[Ledger, Person], object]]] = {
    "signing out": ("browser", lambda ledger, user: Accounts(ledger).sign_out(user.cookie)),
    "a session revoked": ("browser", lambda ledger, user: ledger.dismiss_session(user.name, user.session.id, by="x")),
    "a password changed": ("browser", lambda ledger, user: ledger.update_user(user.name, password="x", by="x")),
    "another role": ("browser", lambda ledger, user: ledger.update_user(user.name, role=UserRole.USER, by="x")),
    "an account removed": ("browser", lambda ledger, user: ledger.remove_user(user.name, by="x")),
    "a token revoked": (
        "program", lambda ledger, user: ledger.revoke_token(user.name, ledger.tokens(user.name)[0].id, by="x"),
    ),
    "a token's owner made a user": (
        "program",
        lambda ledger, user: ledger.update_user(user.name, role=UserRole.USER, by="x"),
    ),
    "a token's owner removed": ("program", lambda ledger, user: ledger.remove_user(user.name, by="x")),
}  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_stream_does_not_outlive(web: Web, people: dict[str, Person], ledger: Ledger, ending: str) -> None:
    way, end = ENDINGS[ending]
    boss = person(ledger, "boss", "admin")
    stream, other = listening(web, getattr(boss, way)()), listening(web, people["admin"].browser())
    wait_until(lambda: stream.comments >= 2, 5, "it is there")
    end(ledger, boss)
    assert stream.ended.wait(patience(5)), "with the next heartbeat"
    run, _ = ledger.submit(a_request(), user="anna")
    wait_until(lambda: [e for e in other.events if e["run_id"] == run.id], 5, "the others go on")
    assert not [event for event in stream.events if event.get("run_id") == run.id]
    stream.close()
    other.close()


def test_a_stream_does_not_keep_a_session_alive(web: Web, people: dict[str, Person], client: redis.Redis) -> None:
    admin = people["admin"]
    key = next(key for key in client.scan_iter("reachq:session:*") if client.hget(key, "user") == "admin-1")
    stream = listening(web, admin.browser())
    seen = int(client.hget(key, "seen_ms") or 0) - 3_600_000
    client.hset(key, "seen_ms", seen)
    count = stream.comments
    wait_until(lambda: stream.comments >= count + 3, 5, "some heartbeats")
    assert int(client.hget(key, "seen_ms") or 0) == seen
    stream.close()


# races


@pytest.mark.parametrize("way", ["remove", "role"])
def test_the_last_two_admins_at_once(web: Web, ledger: Ledger, client: redis.Redis, way: str) -> None:
    """Each removes the other: one of them must remain."""
    for _ in range(5):
        client.flushall()
        pair = [person(ledger, name, "admin") for name in ("anna", "ben")]
        start = threading.Barrier(2)

        def attack(one: Person, other: Person, start: threading.Barrier = start) -> bool:
            body = urlencode({"csrf": one.session.csrf, "role": "viewer"}).encode()
            start.wait(patience(5))
            answer = web.call("POST", f"/people/{other.name}/{way}", body, one.browser() | FORM, token=None)
            return answer.headers.get("location", "").startswith("/people?said=")

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(attack, pair, pair[::-1])) == [False, True]
        admins = [user.name for user in ledger.users() if user.role is UserRole.ADMIN]
        assert len(admins) == 1
        with pytest.raises(LastAdmin):
            ledger.remove_user(admins[0], by="test")


# headers that any client can send

SPOOFED = [
    {"X-Remote-User": "admin-1"}, {"Remote-User": "admin-1"}, {"X-Forwarded-User": "admin-1"}, {"REMOTE_USER": "admin-1"},
    {"X-Forwarded-For": "127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1;host=evil.example"},
    {"X-Forwarded-Host": "evil.example"}, {"X-Forwarded-Proto": "https"}, {"X-Forwarded-Prefix": "//evil.example"},
    {"X-Original-URL": "/sign-in"}, {"X-Rewrite-URL": "/sign-in"}, {"X-Script-Name": "/x"}, {"Script_Name": "/x"},
]  # fmt: skip


@pytest.mark.parametrize("headers", SPOOFED, ids=lambda headers: next(iter(headers)))
def test_headers_of_a_proxy_nobody_trusts(web: Web, people: dict[str, Person], headers: dict[str, str]) -> None:
    assert web.get("/api/runs", headers=headers, token=None).status == 401
    answer = web.get("/people", headers=PAGE | headers, token=None)
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in?next=/people")
    assert web.get("/people", headers=people["user"].browser() | headers, token=None).status == 403
    for page in (answer.body, web.get("/runs", headers=people["user"].browser() | PAGE | headers, token=None).body):
        assert b"evil.example" not in page


@pytest.mark.parametrize(
    "host", ['evil.example"; id; "', "$(id)", "`id`", "x'y", "<pwn>", "a b", "x" * 300, "[", "a/b"]
)
def test_a_host_that_is_none(web: Web, people: dict[str, Person], ledger: Ledger, host: str) -> None:
    """The page of a run shows a command with this server's name: only a valid host name may appear there."""
    run, _ = ledger.submit(a_request(), user="user-1")
    page = web.get(f"/runs/{run.id}", headers=people["user"].browser() | PAGE | {"Host": host}, token=None)
    if page.status == 400:
        return
    (shown,) = re.findall(r"http\S*/api/runs/\S+/result", page.body.decode())
    assert shown == f"http://127.0.0.1:0/api/runs/{run.id}/result"


def test_the_command_shown_sends_no_token_in_the_clear(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    settings = load_settings(redis_url=server.url, data=tmp_path, https=True)
    user = person(ledger, "anna", "user")
    run, _ = ledger.submit(a_request(), user="anna")
    web = Served(application(settings, ledger))
    try:
        page = web.get(f"/runs/{run.id}", headers=user.browser(name="__Host-reachq"), token=None).body.decode()
        assert f"https://127.0.0.1:{web.port}/api/runs/{run.id}/result" in page
        assert "http://127" not in page
    finally:
        web.stop()


# what unauthenticated clients learn


def test_strangers_learn_nothing_of_the_inside(web: Web, ledger: Ledger) -> None:
    ledger.report_bench({"state": "down", "error": "dc-fw/iptables.rules:12: -s 10.3.40.5 is wrong"})
    ledger.announce("w", "main-quick-0", running(ledger, number=1).mode, 1)
    ledger.lead("d1")
    answer = web.get("/readyz", token=None)
    assert b"the bench is down" in answer.body
    assert not any(word in answer.body for word in (b"dc-fw", b"10.3.40.5", b"iptables"))
    for path in ("/", "/sign-in", "/nosuch", "/api/openapi.json", "/static/nosuch"):
        body = web.get(path, headers=PAGE, token=None).body
        assert not any(word in body for word in (b"dc-fw", b"redis://", b"unix://", b"/tmp/"))


@pytest.fixture
def without_redis(tmp_path: Path) -> Iterator[Served]:
    settings = load_settings(redis_url=f"unix://{tmp_path}/secret-place.sock", data=tmp_path)
    with Ledger.connect(settings) as away:
        web = Served(application(settings, away))
        yield web
        web.stop()


@pytest.mark.parametrize("headers", [{"Cookie": "reachq=x"}, {"Authorization": "Bearer rq_x"}, {}], ids=str)
def test_strangers_are_not_told_where_redis_is(without_redis: Served, headers: dict[str, str]) -> None:
    for path in ("/readyz", "/api/runs", "/runs", "/sign-in"):
        answer = without_redis.get(path, headers=headers | PAGE, token=None)
        assert b"secret-place" not in answer.body, path
    answer = without_redis.call("POST", "/sign-in", b"name=x&password=x", FORM | headers, token=None)
    assert answer.status == 503
    assert b"secret-place" not in answer.body
    assert b"secret-place" in without_redis.get("/api/runs").body, "an admin is"


# the document


def test_the_document_names_tests_there_are() -> None:
    """And the document contains every test of these tables."""
    folder = Path(__file__).parent
    text = (folder.parents[2] / "docs" / "security.md").read_text()
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", text))
    tables = {
        name
        for path in folder.glob("test_security*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    there_are = {
        name
        for path in folder.parents[1].rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert named <= there_are
    assert tables - named == {
        "test_none_of_these_is_refused_for_want_of_a_token_when_it_is_there",
        "test_these_addresses_are_among_them",
        "test_what_an_audit_export_holds",
        "test_the_document_names_tests_there_are",
    }
