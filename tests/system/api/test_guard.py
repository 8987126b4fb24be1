"""The guard against forged requests, planted cookies, forged headers and open redirects; what unauthenticated clients
may learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import redis

from app.http import problems
from app.people.accounts import Accounts
from app.people.identity import require
from app.people.origin import local_path
from ledger.people.records import UserRole, digest
from ledger.redis import keys
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support.people import PASSWORD, Person, Served, person, served
from tests.support.web import QUESTION, TOKEN, Reply, Web

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def pages(settings: Settings, ledger: Ledger) -> Iterator[Served]:
    """The application with a few pages, without a proxy."""
    with served(settings, ledger) as web:
        yield web


@pytest.fixture
def anna(ledger: Ledger) -> Person:
    return person(ledger, "anna", "admin")


def add_anna(ledger: Ledger) -> Accounts:
    """An admin who signs in with a password."""
    accounts = Accounts(ledger)
    accounts.add_user("anna", UserRole.ADMIN, PASSWORD, by="test")
    return accounts


def behind(settings: Settings, **more: object) -> Settings:
    """The same settings with changes."""
    return load_settings(**{**settings.model_dump(), **more})


def code(answer: Reply) -> tuple[int, str]:
    return answer.status, answer.json["type"].removeprefix(problems.TYPE_PREFIX)


def cookie_of(answer: Reply) -> str:
    return answer.headers["set-cookie"].partition("=")[2].partition(";")[0]


def sign_in(web: Web, name: str, password: str, headers: dict[str, str] | None = None) -> Reply:
    body = urlencode({"name": name, "password": password}).encode()
    return web.call("POST", "/sign-in", body, FORM | (headers or {}), token=None)


# CSRF: (extra headers, whether the request is taken)

HERE = "HERE"
"""Placeholder for the address of the web server."""
FORGED: dict[str, tuple[dict[str, str | None], bool]] = {
    "no token": ({"X-CSRF-Token": None}, False),
    "an empty one": ({"X-CSRF-Token": ""}, False),
    "another's": ({"X-CSRF-Token": "x" * 32}, False),
    "not ASCII": ({"X-CSRF-Token": "\xe9"}, False),
    "the cookie": ({"X-CSRF-Token": "cookie-of-anna-" + "x" * 20}, False),
    "the token": ({}, True),
    "from here": ({"Origin": HERE, "Sec-Fetch-Site": "same-origin"}, True),
    "another site": ({"Origin": "http://evil.example"}, False),
    "another port": ({"Origin": "http://127.0.0.1:1"}, False),
    "an origin that hides": ({"Origin": "null"}, False),
    "an origin that is none": ({"Origin": "http://["}, False),
    "begins like ours": ({"Origin": "HERE.evil.example"}, False),
    "cross-site": ({"Sec-Fetch-Site": "cross-site"}, False),
    "same-site, another host": ({"Sec-Fetch-Site": "same-site"}, False),
    "here, but another origin": ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, False),
}


@pytest.mark.parametrize("case", FORGED)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_browsers_request_must_come_from_a_page_of_ours(
    web: Web, anna: Person, ledger: Ledger, case: str, method: str
) -> None:
    more, taken = FORGED[case]
    here = f"http://127.0.0.1:{web.port}"
    changed = anna.browser() | more
    headers = {name: value.replace(HERE, here) for name, value in changed.items() if value is not None}
    run = web.submit().json
    path, body = ("/api/runs", QUESTION) if method == "POST" else (f"/api/runs/{run['id']}", None)
    answer = web.call(method, path, body, headers, token=None)
    if taken:
        assert answer.status == 202, answer.body
    else:
        assert code(answer) == (403, "csrf")
        assert ledger.runs()[1] == 1
        assert ledger.run(run["id"]).state == "pending"


def test_the_same_for_forms_of_pages(pages: Served, anna: Person) -> None:
    good = urlencode({"csrf": anna.session.csrf}).encode()
    cookie = anna.browser(csrf=False) | FORM
    assert pages.call("POST", "/submit", good, cookie, token=None).body == b"submitted"
    for body in (b"", b"csrf=", b"csrf=wrong", b"csrf=%ff", good.replace(b"csrf", b"token")):
        assert code(pages.call("POST", "/submit", body, cookie, token=None)) == (403, "csrf"), body
    as_json = anna.browser(csrf=False)
    assert code(pages.call("POST", "/submit", {"csrf": anna.session.csrf}, as_json, token=None)) == (403, "csrf")
    assert code(pages.call("POST", f"/submit?{good.decode()}", b"", cookie, token=None)) == (403, "csrf")
    far = cookie | {"Origin": "http://evil.example"}
    assert code(pages.call("POST", "/submit", good, far, token=None)) == (403, "csrf")


def test_reading_needs_no_csrf_token_and_a_token_needs_none_to_write(web: Web, anna: Person) -> None:
    assert web.get("/api/runs", headers=anna.browser(csrf=False), token=None).status == 200
    far = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert web.call("POST", "/api/runs", QUESTION, anna.program() | far, token=None).status == 202
    answer = web.get("/api/runs", headers=anna.browser() | far, token=None)
    assert not any(name.startswith("access-control-") for name in answer.headers), "and cannot be read from there"


def test_the_csrf_token_of_another_session_does_not_do(web: Web, anna: Person, ledger: Ledger) -> None:
    ben = person(ledger, "ben", "admin")
    headers = anna.browser() | {"X-CSRF-Token": ben.session.csrf}
    assert code(web.call("POST", "/api/runs", QUESTION, headers, token=None)) == (403, "csrf")


def test_signing_in_cannot_be_forged_either(pages: Served) -> None:
    """Otherwise a user could be signed in as another, and work there unknowingly."""
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert code(sign_in(pages, "anna", PASSWORD, headers)) == (403, "csrf")


# sign-in, through the server


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    pages: Served, settings: Settings, ledger: Ledger
) -> None:
    add_anna(ledger)
    parts = sign_in(pages, "anna", PASSWORD).headers["set-cookie"].split("; ")
    assert parts[0].startswith("reachq=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=604800"} <= set(parts)
    assert "Secure" not in parts
    assert not any(part.startswith("Domain") for part in parts)
    with served(behind(settings, https=True), ledger) as secure:
        answer = sign_in(secure, "anna", PASSWORD)
        parts = answer.headers["set-cookie"].split("; ")
        assert parts[0].startswith("__Host-reachq=")
        assert {"HttpOnly", "Path=/", "SameSite=Lax", "Secure"} <= set(parts)
        cookie = cookie_of(answer)
        assert secure.get("/", headers={"Cookie": f"__Host-reachq={cookie}"}, token=None).status == 200
        assert secure.get("/", headers={"Cookie": f"reachq={cookie}"}, token=None).status == 303
        plain = {"Cookie": f"__Host-reachq={cookie}", "Origin": f"http://127.0.0.1:{secure.port}"}
        assert code(secure.call("POST", "/submit", b"", plain | FORM, token=None)) == (403, "csrf")
        gone = secure.get("/sign-out", token=None).headers["set-cookie"]
        assert gone.startswith("__Host-reachq=;")
        assert "Secure" in gone


def test_a_planted_cookie_is_worth_nothing_after_signing_in(pages: Served, ledger: Ledger) -> None:
    add_anna(ledger)
    planted = {"Cookie": "reachq=planted-by-somebody"}
    answer = sign_in(pages, "anna", PASSWORD, planted)
    assert cookie_of(answer) != "planted-by-somebody"
    assert pages.get("/", headers=planted, token=None).status == 303
    first = {"Cookie": f"reachq={cookie_of(answer)}"}
    second = {"Cookie": f"reachq={cookie_of(sign_in(pages, 'anna', PASSWORD, first))}"}
    assert second != first
    assert pages.get("/", headers=first, token=None).status == 303
    assert pages.get("/", headers=second, token=None).body.startswith(b"anna admin session ")
    assert pages.get("/sign-in", headers=second, token=None).body == b"anna"
    assert pages.get("/sign-in", headers=first, token=None).body == b"nobody"


def test_brute_force_is_answered_with_when_to_come_back(pages: Served, ledger: Ledger) -> None:
    add_anna(ledger)
    replies = [sign_in(pages, "anna", f"wrong password {n}") for n in range(7)]
    assert [answer.status for answer in replies] == [401] * 5 + [429] * 2
    assert {code(answer)[1] for answer in replies[:5]} == {"bad-credentials"}
    assert code(replies[5]) == (429, "throttled")
    assert 890 <= int(replies[5].headers["retry-after"]) <= 900
    assert sign_in(pages, "anna", PASSWORD).status == 429
    assert not any("set-cookie" in answer.headers for answer in replies)
    other = sign_in(pages, "anna", PASSWORD, {"X-Forwarded-For": "10.9.9.9"})
    assert other.status == 429, "and no header makes it another place"


def test_sessions_end_when_the_password_changes(pages: Served, ledger: Ledger) -> None:
    accounts = add_anna(ledger)
    first, second = ({"Cookie": f"reachq={cookie_of(sign_in(pages, 'anna', PASSWORD))}"} for _ in range(2))
    session = accounts.find_session(first["Cookie"].partition("=")[2])
    assert session is not None
    cookie, _ = accounts.change_own_password(session, PASSWORD, "a better password")
    for old in (first, second):
        assert pages.get("/", headers=old, token=None).status == 303
        assert pages.get("/api/runs", headers=old, token=None).status == 401
    assert pages.get("/", headers={"Cookie": f"reachq={cookie}"}, token=None).status == 200


# what unauthenticated clients do not learn


def test_a_browser_is_sent_to_sign_in_and_back(pages: Served) -> None:
    for path, then in {
        "/": "/sign-in",
        "/runs/1?a=b&c=%3Cd": "/sign-in?next=/runs/1%3Fa%3Db%26c%3D%253Cd",
        "/undeclared": "/sign-in?next=/undeclared",
    }.items():
        answer = pages.get(path, token=None)
        assert (answer.status, answer.headers["location"]) == (303, then)
        assert answer.body == b""
    answer = pages.call("POST", "/submit", b"", FORM, token=None)
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in"), "not back to what only takes a POST"
    assert pages.get("/nosuch", token=None).status == 404
    assert pages.get("//evil.example/", token=None).status == 400, "the server itself has no such address"


def test_htmx_is_told_by_its_header(pages: Served) -> None:
    hx = {"HX-Request": "true"}
    answer = pages.get("/", headers=hx, token=None)
    assert (answer.status, answer.headers["hx-redirect"]) == (401, "/sign-in")
    for shown, then in {
        "http://127.0.0.1/runs/1?a=b": "/sign-in?next=/runs/1%3Fa%3Db",
        "http://evil.example//evil.example": "/sign-in",
        "http://[": "/sign-in",
    }.items():
        answer = pages.call("POST", "/submit", b"", {**FORM, **hx, "HX-Current-URL": shown}, token=None)
        assert (answer.status, answer.headers["hx-redirect"]) == (401, then)


def test_a_program_is_told_what_is_missing(pages: Served) -> None:
    for path in ("/api/runs", "/api/nosuch", "/metrics", "/rq/"):
        answer = pages.get(path, token=None)
        assert code(answer) == (401, "unauthorized"), path
        assert answer.headers["www-authenticate"] == 'Bearer realm="reachq"'
    assert code(pages.get("/", headers={"Authorization": "Bearer wrong"}, token=None)) == (401, "unauthorized")


def test_what_is_declared_nothing_is_for_admins(pages: Served, anna: Person, ledger: Ledger) -> None:
    assert pages.get("/undeclared", headers=anna.browser(), token=None).body == b"shown"
    for role in ("viewer", "user"):
        one = person(ledger, f"a-{role}", role)
        assert code(pages.get("/undeclared", headers=one.browser(), token=None)) == (403, "forbidden")
        expected = 200 if role == "viewer" else 403
        assert pages.get("/metrics", headers=one.program(), token=None).status == expected, role
        expected = 403 if role == "viewer" else 200
        assert pages.call("POST", "/submit", b"", one.browser() | FORM, token=None).status == expected, role
    with pytest.raises(ValueError, match="is not a valid role"):
        require("everybody")


LOCAL = ["/", "/runs", "/runs/1?next=//evil.example", "/a#b", "/a b", "/é", "/@evil.example", "/%5cevil.example"]
ELSEWHERE = [
    "", "runs", "//evil.example", "///evil.example", "http://evil.example", "javascript:alert(1)", "/\\evil.example",
    "\\\\evil.example", "/\tevil", "/\n/evil.example", "/a\r\nSet-Cookie: a=b", " //evil.example", "/\x00", "/\u2028x",
    "/" + "x" * 3000, "https:evil.example", "/a\\..\\b", "@evil.example", "/\x7f",
]  # fmt: skip


@pytest.mark.parametrize("path", LOCAL)
def test_a_path_of_this_site_is_kept(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize("path", ELSEWHERE)
def test_the_way_elsewhere_leads_home(path: str) -> None:
    assert local_path(path) == "/"


# a proxy that names the user

NAMED = {"X-Remote-User": "anna"}


def test_the_header_is_nothing_when_no_proxy_is_trusted(pages: Served, anna: Person) -> None:
    for name in ("X-Remote-User", "Remote-User", "X-Forwarded-User", "REMOTE_USER"):
        assert pages.get("/api/runs", headers={name: "anna"}, token=None).status == 401
        assert pages.get("/", headers={name: "anna"}, token=None).status == 303


def test_the_header_is_nothing_from_elsewhere(settings: Settings, ledger: Ledger, anna: Person) -> None:
    with served(behind(settings, proxy_header="X-Remote-User", proxy_from="10.0.0.0/8,127.0.0.2"), ledger) as web:
        for more in ({}, {"X-Forwarded-For": "10.0.0.1"}, {"X-Real-IP": "10.0.0.1"}, {"Forwarded": "for=10.0.0.1"}):
            assert web.get("/api/runs", headers=NAMED | more, token=None).status == 401
            assert web.get("/", headers=NAMED | more, token=None).status == 303
        assert web.get("/", headers=anna.browser() | NAMED, token=None).status == 200


@pytest.fixture
def proxied(settings: Settings, ledger: Ledger) -> Iterator[Served]:
    """The application behind a proxy, which the test simulates."""
    with served(behind(settings, proxy_header="X-Remote-User", proxy_from="127.0.0.0/8"), ledger) as web:
        yield web


def test_whom_a_trusted_proxy_names_gets_a_session(proxied: Served, ledger: Ledger) -> None:
    person(ledger, "anna", "user")
    answer = proxied.get("/", headers=NAMED | {"X-Forwarded-For": "10.9.9.9", "User-Agent": "a browser"}, token=None)
    name, role, via, csrf = answer.body.decode().split()
    assert (name, role, via) == ("anna", "user", "proxy")
    session = next(session for session in ledger.sessions("anna") if session.via == "proxy")
    assert (session.csrf, session.address, session.agent) == (csrf, "10.9.9.9", "a browser")
    mine = NAMED | {"Cookie": f"reachq={cookie_of(answer)}"}
    again = proxied.get("/", headers=mine, token=None)
    assert again.body == answer.body
    assert "set-cookie" not in again.headers
    assert proxied.call("POST", "/api/runs", QUESTION, mine | {"X-CSRF-Token": csrf}, token=None).status == 202
    assert code(proxied.call("POST", "/api/runs", QUESTION, mine, token=None)) == (403, "csrf")


def test_without_a_session_a_proxied_request_can_only_read(proxied: Served, ledger: Ledger) -> None:
    person(ledger, "anna", "user")
    before = len(ledger.sessions("anna"))
    assert proxied.get("/api/runs", headers=NAMED, token=None).status == 200
    for token in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x"}):
        assert code(proxied.call("POST", "/api/runs", QUESTION, NAMED | token, token=None)) == (403, "csrf")
        assert code(proxied.call("POST", "/submit", b"csrf=", NAMED | FORM | token, token=None)) == (403, "csrf")
    assert len(ledger.sessions("anna")) == before, "and does not make a session with each request"


def test_a_proxys_session_ends_when_it_names_somebody_else_or_nobody(proxied: Served, ledger: Ledger) -> None:
    person(ledger, "anna", "admin"), person(ledger, "ben", "viewer")
    cookie = {"Cookie": f"reachq={cookie_of(proxied.get('/', headers=NAMED, token=None))}"}
    assert proxied.get("/", headers=cookie, token=None).status == 303
    assert proxied.get("/api/runs", headers=cookie, token=None).status == 401
    other = proxied.get("/", headers=cookie | {"X-Remote-User": "Ben"}, token=None)
    assert other.body.startswith(b"ben viewer proxy ")
    assert "set-cookie" in other.headers


@pytest.mark.parametrize("name", ["nobody", "anna,anna", "anna, admin", "<script>", "*", "api", "\xe9", "a" * 500])
def test_who_is_no_user_is_told_to_ask(proxied: Served, anna: Person, name: str) -> None:
    for path in ("/", "/api/runs"):
        answer = proxied.get(path, headers={"X-Remote-User": name}, token=None)
        assert code(answer) == (403, "no-account"), path
        assert "ask an admin to add you" in answer.json["detail"]
    for headers in ({"X-Remote-User": ""}, {"X_Remote_User": "anna"}, {"HTTP-X-Remote-User": "anna"}):
        assert proxied.get("/api/runs", headers=headers, token=None).status == 401


def test_a_header_that_is_there_twice_names_nobody(proxied: Served, anna: Person, ledger: Ledger) -> None:
    person(ledger, "ben", "user")

    def said(*lines: str) -> int:
        head = ["GET /api/runs HTTP/1.1", "Host: x", "Connection: close", *lines, "", ""]
        return int(proxied.raw("\r\n".join(head).encode()).split()[1])

    assert said("X-Remote-User: ben") == 200
    assert said("X-Remote-User: ben", "X-Remote-User: anna") == 403
    assert said("x-remote-user: ben", "X-REMOTE-USER: anna") == 403
    assert said("X-Remote-User: ben", " anna") == 400
    bearer = f"Authorization: Bearer {TOKEN}"
    assert said(bearer) == 200
    assert said(bearer, "Authorization: Bearer x") == said("Authorization: Bearer x", bearer) == 401
    cookie = f"Cookie: reachq={anna.cookie}"
    assert said("Cookie: other=1", cookie) == said(cookie, "Cookie: other=1") == 200


def test_the_address_is_the_clients_and_cannot_be_made_up(proxied: Served, ledger: Ledger, client: redis.Redis) -> None:
    sign_in(proxied, "nobody", PASSWORD, {"X-Forwarded-For": "1.2.3.4, 10.9.9.9"})
    sign_in(proxied, "nobody", PASSWORD, {"X-Forwarded-For": "1.2.3.4, 10.9.9.9, 127.0.0.5"})
    sign_in(proxied, "nobody", PASSWORD, {"X-Forwarded-For": "10.9.9.9, nonsense"})
    counted = {place: client.get(keys.THROTTLE + digest(f"address {place}")) for place in ("10.9.9.9", "127.0.0.1")}
    assert counted == {"10.9.9.9": "2", "127.0.0.1": "1"}
    assert client.get(keys.THROTTLE + digest("address 1.2.3.4")) is None


def test_the_systems_token_works_without_redis_and_a_session_says_what_is_wrong(
    settings: Settings, tmp_path: Path
) -> None:
    away = behind(settings, redis_url=f"unix://{tmp_path}/none.sock")
    with Ledger.connect(away) as ledger, served(away, ledger) as web:
        assert web.get("/undeclared", token=TOKEN).status == 200
        answer = web.get("/", headers={"Cookie": "reachq=x"}, token=None)
        assert code(answer) == (503, "store-unavailable")
