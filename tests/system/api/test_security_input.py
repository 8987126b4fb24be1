"""Attacks by input: ids and file names, bodies, redirect targets, heads that two servers parse differently; and the
security headers of every response.

JSON bodies, including deeply nested ones, ids of the API and its parameters are in test_bad_input.py.
"""

from __future__ import annotations

import csv
import io
import json
import time
from urllib.parse import quote, urlencode, urljoin, urlsplit

import pytest
import redis

from app.people.accounts import Accounts
from app.web.forms.spreadsheet import row
from ledger.people.records import UserRole
from ledger.runs.run import Mode
from ledger.store import Ledger
from tests.support.attacks import FORM, NONE, PAGE, Address, ours, problem_of, values
from tests.support.patience import patience
from tests.support.people import PASSWORD, Person, person
from tests.support.results import answer_with, rule, sample
from tests.support.runs import running, submitted
from tests.support.web import TOKEN, Reply, Web


@pytest.fixture
def admin(web: Web, ledger: Ledger) -> Person:
    return person(ledger, "ada", "admin")


def post(web: Web, who: Person, path: str, body: bytes, **headers: str) -> Reply:
    """A form from this person's browser, its CSRF token in the header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.call("POST", path, body, who.browser() | FORM | PAGE | named, token=None)


# traversal

TRICKS = [
    "..", "../..", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%2e%2e%2f", "..%5c..%5c", "%252e%252e%252f", "....//", "%00",
    "x%00.css", "/etc/passwd", "%2fetc%2fpasswd", "%c0%ae%c0%ae%c0%af", "%ff%fe", "a" * 5000, "*", "{}", "$(id)",
    "%0d%0aX-Set:1", f"{NONE}%0a", f"{NONE}:result", "finished", "main:pending:quick", "CON", ".git/config", "~root",
    "file:%2f%2f%2fetc",
]  # fmt: skip
PLACES = [address for address in ours() if "<" in address.path and not address.path.startswith("/api/")]


@pytest.mark.parametrize("address", PLACES, ids=str)
def test_traversal(web: Web, admin: Person, client: redis.Redis, address: Address) -> None:
    """In every part of every address: files are found only by their exact name, and no key is made of other input."""
    before = client.dbsize()
    for trick in TRICKS:
        path = address.filled(dict.fromkeys(values(), "PART")).replace("PART", trick)
        method = address.method
        headers = admin.browser() | PAGE | (FORM if method == "POST" else {})
        answer = web.call(method, path, b"role=user" if method == "POST" else None, headers, token=None)
        assert answer.status in (400, 404, 405, 422), (path, answer.status)
        assert b"root:" not in answer.body
        assert "x-set" not in answer.headers
    assert client.dbsize() == before


STATIC = [
    "/static/../pages.py", "/static/%2e%2e/pages.py", "/static/..%2fpages.py", "/static/vendor/../../pages.py",
    "/static/..", "/static/%2e%2e/%2e%2e/people/guard.py", "/static//pages.py", "/static/vendor", "/static/vendor/",
    "/static/reachq.css%00", "/static/REACHQ.css", "/rq/static/../web.py", "/rq/static/%2e%2e/web.py",
    "/static/../templates/base.html", "/static/..%5cpages.py", "/static/reachq.css%20", "/static/~", "/static",
]  # fmt: skip


@pytest.mark.parametrize("path", STATIC)
def test_static_names(web: Web, path: str) -> None:
    answer = web.get(path)
    assert answer.status == 404
    assert b"import" not in answer.body
    assert web.get("/static/reachq.css").status == 200


# bodies

BOUND = {"Content_Type": "multipart/form-data; boundary=x"}


def part(name: str, value: str = "1", more: str = "") -> str:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'


BODIES: dict[str, tuple[bytes, dict[str, str], set[int]]] = {
    "too large": (b"rows=" + b"x" * 2_100_000, {}, {413}),
    "much too large": (b"rows=" + b"x" * 5_000_000, {}, {413}),
    "a file too large": ((part("file", "x" * 2_100_000, '; filename="x"') + "--x--").encode(), BOUND, {413}),
    "very many fields": (b"&".join(b"%d=" % n for n in range(9_000)), {}, {422}),
    "one field very often": (b"rows=1&" * 9_000, {}, {422}),
    "very many parts": ("".join(part("a") for _ in range(1_200)).encode() + b"--x--", BOUND, {413}),
    "very many ampersands": (b"&" * 60_000, {}, {422}),
    "names in names": (b"rows[a][b][c][]=1&" * 3_000, {}, {422}),
    "null bytes": (b"rows=%00%00\x00,1,2", {}, {422}),
    "not UTF-8": (b"rows=\xff\xfe%ff%c0%80%ed%a0%80", {}, {422}),
    "UTF-16": ("rows=10.1.10.20".encode("utf-16"), {}, {422}),
    "another charset": (b"rows=+AGE-", {"Content_Type": "application/x-www-form-urlencoded; charset=utf-7"}, {422}),
    "a charset that is none": (b"rows=1", {"Content_Type": "application/x-www-form-urlencoded; charset=x"}, {422}),
    "percent signs": (b"rows=%&%zz=%u0041&%=%", {}, {422}),
    "lone carriage returns": (b"rows=10.1.10.20,10.3.20.8\r80\rx", {}, {422}),
    "all line ends there are": ("rows=1\x0b2\x0c3\x1c4\x855\u20286\u2029".encode(), {}, {422}),
    "quotes": (b'rows="1"2",""",\'"\n"\n""\n', {}, {422}),
    "a very long row": (b"rows=" + b"1," * 30_000, {}, {422}),
    "rows without end": (b"rows=" + b"%0a1,2,3" * 7_000, {}, {422}),
    "deep": (b"rows=" + b"[" * 60_000, {}, {422}),
    "no boundary": (part("rows").encode(), {"Content_Type": "multipart/form-data"}, {422}),
    "a boundary that never comes": (b"rows=1", BOUND, {422}),
    "an endless boundary": (b"x", {"Content_Type": f"multipart/form-data; boundary={'x' * 5_000}"}, {413, 422}),
    "a part cut off": (b'--x\r\nContent-Disposition: form-data; name="rows"', BOUND, {422}),
    "a part within a part": (part("rows", part("file")).encode(), BOUND, {422}),
    "a file named after a path": ((part("file", "1", '; filename="../../x"') + "--x--").encode(), BOUND, {422}),
    "a field that is a file": ((part("rows", "1", '; filename="x"') + "--x--").encode(), BOUND, {422}),
    "a part in another charset": (
        part("rows", "\xff", "\r\nContent-Type: text/plain; charset=utf-7").encode("latin-1") + b"--x--", BOUND, {422},
    ),
    "JSON": (b'{"rows": "1"}', {"Content_Type": "application/json"}, {422}),
    "XML that fetches": (
        b'<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><x>&y;</x>', {"Content_Type": "text/xml"}, {422},
    ),
    "compressed": (b"\x1f\x8b\x08" + b"x" * 100, {"Content_Encoding": "gzip"}, {422}),
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_a_form(web: Web, admin: Person, ledger: Ledger, body: str) -> None:
    """Is refused with a message, quickly, and stores nothing, whatever it contains."""
    sent, headers, expected = BODIES[body]
    began = time.monotonic()
    answer = post(web, admin, "/many", sent.encode() if isinstance(sent, str) else sent, **headers)
    assert answer.status in expected, answer.body[:500]
    assert time.monotonic() - began < patience(3)
    assert ledger.runs()[1] == 0
    assert b"root:" not in answer.body


@pytest.mark.parametrize("body", [name for name, (_, _, expected) in BODIES.items() if expected != {413}])
def test_the_same_at_the_door(web: Web, body: str) -> None:
    """The same without a session."""
    sent, headers, _ = BODIES[body]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = sent.encode() if isinstance(sent, str) else sent
    answer = web.call("POST", "/sign-in", sent, FORM | PAGE | named, token=None)
    assert answer.status in (403, 413, 429)


def test_a_form_in_chunks_without_end(web: Web, admin: Person) -> None:
    connection = web.connect()
    chunks = (b"x" * 50_000 for _ in range(200))
    connection.request("POST", "/many", chunks, admin.browser() | FORM, encode_chunked=True)
    assert connection.getresponse().status in (400, 413)
    connection.close()


QUERIES = ["text=%ff%fe%00", "text=%ED%A0%80", f"text={'x' * 9000}", f"offset={'9' * 500}", "offset=%D9%A3", "offset=-1",
           "verdict=YES&verdict=NO", "state=%00", "&" * 9000, "=&==&%=%", "text=" + quote("a " * 3000)]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:20])
def test_a_query(web: Web, admin: Person, query: str) -> None:
    for path in ("/runs", "/", "/preview", "/audit", "/audit.csv", "/compare", "/sign-in", "/account", "/network"):
        assert web.get(f"{path}?{query}", headers=admin.browser() | PAGE, token=None).status in (200, 303, 422), path


@pytest.mark.parametrize(
    "before", ["0-0", "0", "1-0", "x", f"{2**64 - 1}-{2**64 - 1}", f"{2**64}-0", "-", "+", "$", "(1-0"]
)
def test_a_place_in_the_audit_trail(web: Web, admin: Person, before: str) -> None:
    path = f"/audit?{urlencode({'before': before})}"
    assert web.get(path, headers=admin.browser(), token=None).status == 200


# open redirects

ELSEWHERE = [
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example",
    "http://evil.example", "https:evil.example", "HTTP:/evil.example", "javascript:alert(1)", "data:text/html,x",
    "/\t/evil.example", "\t//evil.example", " //evil.example", "/\n/evil.example", "\x00//evil.example",
    "/\r\nSet-Cookie: a=b", "http:\\\\evil.example", "@evil.example", "evil.example", ".evil.example",
    "/\x00/evil.example", "\u2028//evil.example", "//evil.example@here", "/x/..//evil.example", "/.//evil.example",
    "/..//evil.example", "/%09/evil.example", "/%2f/evil.example", "/%5cevil.example", "//%65vil.example",
    "/" + "x" * 3000, "／／evil.example", "/／evil.example",
]  # fmt: skip


def where(web: Web, location: str) -> str:
    """The host to which a browser goes: it drops tabs and line breaks, and reads a backslash as a slash."""
    here = f"http://127.0.0.1:{web.port}/sign-in"
    plain = location.translate({9: None, 10: None, 13: None}).strip(" \x00").replace("\\", "/")
    return urlsplit(urljoin(here, plain)).netloc


@pytest.mark.parametrize("then", ELSEWHERE)
def test_open_redirect(web: Web, ledger: Ledger, then: str) -> None:
    anna = person(ledger, "anna", "user")
    here = f"127.0.0.1:{web.port}"
    answer = web.get(f"/sign-in?{urlencode({'next': then})}", headers=anna.browser(), token=None)
    assert answer.status == 303
    assert where(web, answer.headers["location"]) == here
    assert "set-cookie" not in answer.headers
    answer = web.get(f"/{quote(then, safe='/')}", headers=PAGE, token=None)
    assert where(web, answer.headers.get("location", "/")) == here


def test_open_redirect_after_signing_in(web: Web, ledger: Ledger) -> None:
    Accounts(ledger).add_user("anna", UserRole.USER, PASSWORD, by="test")
    for then, expected in {"//evil.example": "/", "/\\evil.example": "/", "/runs?text=1": "/runs?text=1"}.items():
        body = urlencode({"name": "anna", "password": PASSWORD, "next": then}).encode()
        answer = web.call("POST", "/sign-in", body, FORM, token=None)
        assert (answer.status, answer.headers["location"]) == (303, expected)


def test_redirects_name_no_host(web: Web, admin: Person) -> None:
    """Otherwise a Host header could choose it, and behind https they would lead to http."""
    for path in ("/rq", "/rq/0", "/rq/0/", "/rq/0/view/queues", "/sign-in", "/people"):
        for headers in (admin.browser(), {}):
            answer = web.get(path, headers=headers | PAGE | {"Host": "evil.example"}, token=None)
            assert answer.headers.get("location", "/").startswith("/"), path
            assert not answer.headers.get("location", "/").startswith("//"), path


# heads that two servers may parse differently

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
HEADS = {
    "a space before the colon": GET + b"Content-Length : 0\r\n\r\n",
    "a tab before the colon": GET + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "no name": GET + b": x\r\n\r\n",
    "a null byte in a name": GET + b"A\x00: x\r\n\r\n",
    "a null byte in a value": GET + b"A: \x00\r\n\r\n",
    "a carriage return in a value": GET + b"A: x\rX-Remote-User: anna\r\n\r\n",
    "a bare line feed": GET + b"A: x\nX-Remote-User: anna\r\n\r\n",
    "a folded line": GET + b"A: x\r\n y\r\n\r\n",
    "a folded first line": b"GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n",
    "length and chunks": GET + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": GET + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": GET + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "the same length twice": GET + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a length with a sign": GET + b"Content-Length: +5\r\n\r\n",
    "a length below zero": GET + b"Content-Length: -5\r\n\r\n",
    "a length in other digits": GET + b"Content-Length: 0x5\r\n\r\n",
    "a length with an underscore": GET + b"Content-Length: 1_0\r\n\r\n",
    "no length": GET + b"Content-Length: \r\n\r\n",
    "chunks behind a control character": GET + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks twice": GET + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks in two headers": GET + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"GET /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": GET + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_two_servers_may_read_differently(web: Web, head: str) -> None:
    answer = web.raw(HEADS[head])
    assert answer.split()[1] in (b"400", b"501"), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"application/problem+json" in answer


def test_what_follows_the_last_chunk_is_no_request(web: Web) -> None:
    head = f"POST /api/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    body = "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = web.raw(f"{head}{body}".encode())
    assert answer.startswith(b"HTTP/1.1 422")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer


# security headers of every response

PAGES = [
    "/", "/many", "/runs", "/network", "/network/dc-fw", "/board", "/board/restart", "/hosts", "/people", "/audit",
    "/account", "/docs/api", "/sign-in", "/nosuch", "/runs/nosuch", "/compare", "/network/nosuch", "/rq/", "/rq/nosuch",
    "/static/nosuch", "/people/x/role", "/healthz", "/readyz", "/metrics", "/api/runs", "/api/nosuch",
    "/api/openapi.json", "/audit.csv", "/static/reachq.css", "/static/live.js", "/preview",
]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_headers_of_every_answer(web: Web, admin: Person, path: str) -> None:
    for headers in (admin.browser(), {}):
        answer = web.get(path, headers=headers | PAGE, token=None)
        said = answer.headers
        assert said["x-content-type-options"] == "nosniff"
        assert said["x-frame-options"] == "DENY"
        assert said["referrer-policy"] == "same-origin"
        assert said["cross-origin-resource-policy"] == "same-origin"
        policy = dict(rule.split(" ", 1) for rule in said["content-security-policy"].split("; "))
        assert policy["frame-ancestors"] == "'none'"
        if not path.startswith("/rq"):
            assert policy["default-src"] == "'none'"
            assert not any(word in said["content-security-policy"] for word in ("unsafe", "*", "http"))
        if said.get("content-type", "").startswith("text/html") and not path.startswith("/rq"):
            assert (policy["script-src"], policy["base-uri"], policy["form-action"]) == ("'self'", "'none'", "'self'")
        if not path.startswith("/static/") or answer.status == 404:
            assert said["cache-control"] == "no-store", "what is private stays in no cache"
        assert not any(name.startswith("access-control-") for name in said)
        assert said.get("server") == "reachq"


# exports, and log lines

FORMULAS = ["=cmd|'/c calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_in_a_table(web: Web, admin: Person, ledger: Ledger, formula: str) -> None:
    assert next(csv.reader(io.StringIO(row(["x", formula, None, 7]), newline=""))) == ["x", f"'{formula}", "", "7"]
    document = sample("quick")
    for router in document["routers"]:
        router["name"] = formula
        for cell in router["services"]:
            cell["rule"] = rule(formula, chains=(formula,), file=formula)
    run = running(ledger, Mode.QUICK)
    ledger.finish(run.id, run.token, answer_with(document))
    ledger.cancel(submitted(ledger).id, by=formula)
    for path in (f"/runs/{run.id}/result.csv", "/audit.csv?kind=all"):
        answer = web.get(path, headers=admin.browser(), token=None)
        assert answer.headers["content-disposition"].startswith('attachment; filename="reachq-')
        table = list(csv.reader(io.StringIO(answer.body.decode(), newline="")))
        cells = [cell for line in table for cell in line]
        assert f"'{formula}" in cells
        assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")]


def test_what_an_audit_export_holds(web: Web, admin: Person, ledger: Ledger) -> None:
    """All of it, with the filters of the page."""
    ledger.note("sign-in-failed", "", user="anna", address="10.9.9.9")
    lines = web.get("/audit.jsonl?user=anna", headers=admin.browser(), token=None).body.decode().splitlines()
    assert [(entry["kind"], entry["address"]) for entry in map(json.loads, lines)] == [("sign-in-failed", "10.9.9.9")]
    table = web.get("/audit.csv?user=anna", headers=admin.browser(), token=None).body.decode().splitlines()
    assert len(table) == 2


@pytest.mark.parametrize("forged", ["\nERROR forged", "\r\nERROR forged", "\x1b[2Jforged"], ids=repr)
def test_a_line_of_the_log(web: Web, admin: Person, client: redis.Redis, forged: str) -> None:
    """A refusal by Redis is logged with the address of the request, which its sender chooses."""
    before = len(web.log.read_text())
    client.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
    try:
        answer = post(web, admin, f"/account/tokens/{quote(forged)}/revoke", b"")
    finally:
        client.execute_command("ACL", "SETUSER", "default", "+evalsha", "+eval")
    assert answer.status == 503
    output = web.log.read_text()[before:]
    assert "forged" in output
    assert output.count("\n") == 1
    assert not any(letter in output for letter in "\r\x1b")


@pytest.mark.parametrize("code", ["\r\nSet-Cookie: a=b", "%0d%0aSet-Cookie: a=b", "\r\n\r\n<pwn>"], ids=repr)
def test_response_splitting(web: Web, admin: Person, code: str) -> None:
    for path in (
        f"/sign-in?next=/{quote(code)}",
        f"/runs/{quote(code)}/result.csv",
        f"/rq{quote(code)}",
        f"/{quote(code)}",
    ):
        for headers in (admin.browser(), {}):
            assert "set-cookie" not in web.get(path, headers=headers | PAGE, token=None).headers
    answer = web.call("POST", "/api/runs", {"source": code}, {"Idempotency-Key": quote(code)})
    assert problem_of(answer) == "bad-input"
