"""Invalid input gets a 4xx that says what is wrong, and nothing is stored."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.support.patience import patience
from tests.support.web import QUESTION, TOKEN, Reply, Web

pytestmark = pytest.mark.usefixtures("untouched")


def problem(answer: Reply, status: int) -> dict[str, Any]:
    """The problem document of a response that must be one."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json
    assert found["status"] == status
    assert found["type"].startswith("urn:reachq:problem:")
    assert found["title"]
    assert found["detail"]
    assert "Traceback" not in answer.body.decode()
    return found


FIELDS: list[tuple[str, dict[str, object], str, str]] = [
    ("hostname", {"source": "www.example.org"}, "source", "give its IPv4 address"),
    ("ipv6", {"source": "2001:db8::1"}, "source", "not supported yet"),
    ("mask", {"destination": "10.0.0.0/8"}, "destination", "without /"),
    ("leading zeros", {"destination": "010.1.1.1"}, "destination", "write 10.1.1.1"),
    ("octet", {"destination": "10.1.1.256"}, "destination", "at most 255"),
    ("loopback", {"source": "127.0.0.1"}, "source", "loopback"),
    ("this network", {"source": "0.0.0.0"}, "source", "0.0.0.0/8"),
    ("multicast", {"destination": "239.1.1.1"}, "destination", "multicast"),
    ("broadcast", {"destination": "255.255.255.255"}, "destination", "broadcast"),
    ("itself", {"destination": "10.1.10.20"}, "destination", "is also the source"),
    ("command", {"source": "10.1.1.1; reboot"}, "source", "not a valid IPv4 address"),
    ("nul", {"source": "10.1.1.1\0"}, "source", "not a valid IPv4 address"),
    ("surrogate", {"source": "\ud800"}, "source", "not a valid IPv4 address"),
    ("redis protocol", {"source": "10.1.1.1\r\nFLUSHALL\r\n"}, "source", "not a valid IPv4 address"),
    ("number", {"source": 167838228}, "source", "must be a string"),
    ("null", {"source": None}, "source", "must be a string"),
    ("list", {"source": ["10.1.1.1"]}, "source", "must be a string"),
    ("missing", {"destination": ...}, "destination", "is missing"),
    ("no services", {"services": ""}, "services", "does not name a service"),
    ("no services in a list", {"services": []}, "services", "does not name a service"),
    ("services missing", {"services": ...}, "services", "is missing"),
    ("services a number", {"services": 22}, "services", "string or a list"),
    ("services null", {"services": None}, "services", "string or a list"),
    ("services an object", {"services": {"port": 22}}, "services", "string or a list"),
    ("port 0", {"services": "0"}, "services", "ports are 1-65535"),
    ("port 65536", {"services": "22,65536"}, "services", "(part 2)"),
    ("port huge", {"services": "9" * 5000}, "services", "ports are 1-65535"),
    ("port negative", {"services": "-1"}, "services", "not a valid port"),
    ("port float", {"services": [{"port": 22.5}]}, "services", "1-65535"),
    ("port text", {"services": [{"port": "22"}]}, "services", "1-65535"),
    ("port true", {"services": [{"port": True}]}, "services", "1-65535"),
    ("service field", {"services": [{"port": 22, "proto": "tcp"}]}, "services", "'proto'"),
    ("range backwards", {"services": "90-80"}, "services", "write 80-90"),
    ("range huge", {"services": "1-65535"}, "services", "at most 100"),
    ("too many", {"services": ",".join(map(str, range(1, 102)))}, "services", "at most 100"),
    ("too many parts", {"services": "1," * 5000}, "services", "at most 1000"),
    ("protocol", {"services": "22/sctp"}, "services", "/tcp or /udp"),
    ("name", {"services": "nosuchservice"}, "services", "port number"),
    ("icmp port", {"services": "8/icmp"}, "services", "ICMP has no ports"),
    ("mode", {"mode": "slow"}, "mode", "quick or detailed"),
    ("mode null", {"mode": None}, "mode", "quick or detailed"),
    ("source port 0", {"source_port": 0}, "source_port", "1-65535"),
    ("source port 65536", {"source_port": 65536}, "source_port", "1-65535"),
    ("source port text", {"source_port": "1024"}, "source_port", "1-65535"),
    ("source port float", {"source_port": 1e999}, "source_port", "1-65535"),
    ("source port true", {"source_port": True}, "source_port", "1-65535"),
    ("unknown field", {"user": "root"}, "user", "is not a field of this request"),
    ("unknown field", {"__class__": 1}, "__class__", "is not a field of this request"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "field", "message"), [row[1:] for row in FIELDS], ids=[row[0] for row in FIELDS])
def test_a_field_that_cannot_be_used(web: Web, fields: dict[str, object], field: str, message: str) -> None:
    body = {name: value for name, value in {**QUESTION, **fields}.items() if value is not ...}
    text = json.dumps(body).replace("Infinity", "1e999")
    found = problem(web.call("POST", "/api/runs", text.encode()), 422)
    assert found["type"].endswith(":bad-input")
    errors = {error["field"]: error["message"] for error in found["errors"]}
    assert message in errors[field]
    assert len(found["detail"]) < 400


def test_every_wrong_field_is_named_at_once(web: Web) -> None:
    found = problem(web.submit(source="x", destination="::1", services="0", source_port=0), 422)
    assert [error["field"] for error in found["errors"]] == ["source", "destination", "services", "source_port"]


def test_a_detailed_run_of_too_many_services(web: Web) -> None:
    found = problem(web.submit(mode="detailed", services="1-51"), 422)
    assert "at most 50" in found["detail"]


BODIES = [
    ("empty", b"", "not JSON"),
    ("nothing", b"  ", "not JSON"),
    ("cut off", b'{"source": "10.1.1.1"', "not JSON"),
    ("trailing", json.dumps(QUESTION).encode() + b"}", "not JSON"),
    ("single quotes", b"{'source': '10.1.1.1'}", "not JSON"),
    ("comment", b'{"source": /* */ "10.1.1.1"}', "not JSON"),
    ("form", b"source=10.1.1.1&destination=10.1.1.2", "not JSON"),
    ("byte order mark", b"\xef\xbb\xbf{}", "not JSON"),
    ("list", b"[]", "must be a JSON object"),
    ("string", b'"{}"', "must be a JSON object"),
    ("null", b"null", "must be a JSON object"),
    ("NaN", b'{"source_port": NaN}', "contains NaN"),
    ("Infinity", b'{"source_port": -Infinity}', "contains -Infinity"),
    ("latin-1", '{"source": "é"}'.encode("latin-1"), "not UTF-8"),
    ("UTF-16", '{"source": "10.1.1.1"}'.encode("utf-16"), "not UTF-8"),
    ("given twice", b'{"source": "10.1.1.1", "source": "10.1.1.2"}', "'source' twice"),
    ("given twice inside", b'{"services": [{"port": 1, "port": 2}]}', "'port' twice"),
    ("deep lists", b"[" * 30_000 + b"]" * 30_000, "nested too deeply"),
    ("deep objects", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested too deeply"),
    ("huge number", b'{"source_port": ' + b"9" * 50_000 + b"}", "not JSON"),
]


@pytest.mark.parametrize(("body", "message"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_a_body_that_is_not_strict_json(web: Web, body: bytes, message: str) -> None:
    assert message in problem(web.call("POST", "/api/runs", body), 400)["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "x"])
def test_only_json_is_taken(web: Web, kind: str) -> None:
    answer = web.call("POST", "/api/runs", QUESTION, {"Content-Type": kind})
    assert "application/json" in problem(answer, 415)["detail"]


@pytest.mark.parametrize("size", [64 * 1024 + 1, 70_000, 80_000, 10_000_000])
def test_a_large_body_is_refused_and_its_answer_arrives(web: Web, size: int) -> None:
    body = b'{"source": "' + b"1" * (size - 14) + b'"}'
    assert len(body) == size
    problem(web.call("POST", "/api/runs", body), 413)


def test_a_large_chunked_body_is_refused(web: Web) -> None:
    connection = web.connect()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    chunks = (b"x" * 50_000 for _ in range(200))
    connection.request("POST", "/api/runs", chunks, headers, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["content-type"]) == (413, "application/problem+json")
    connection.close()


def test_what_is_left_of_a_refused_body_is_no_request(web: Web) -> None:
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = b"POST /api/runs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = web.raw(sent + b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 201, "schlüssel"])
def test_an_idempotency_key_that_cannot_be_used(web: Web, key: str) -> None:
    answer = web.submit({"Idempotency-Key": key.encode("latin-1").decode("latin-1")})
    assert problem(answer, 422)["errors"][0]["field"] == "Idempotency-Key"


IDS = [
    "1", "nosuch", "*", "..", "../finished", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%00", "a" * 5000, "%F0%9F%92%A9", "%FF%FE",
    "00000000-0000-0000-0000-00000000000g", "00000000-0000-0000-0000-000000000000%0a", "0" * 36,
    "00000000-0000-0000-0000-000000000000", "ABCDEF00-0000-0000-0000-000000000000", "main:pending:quick", "{x}", "'--",
    "00000000-0000-0000-0000-000000000000:result",
]  # fmt: skip


@pytest.mark.parametrize("run_id", IDS, ids=lambda run_id: run_id[:40])
def test_a_run_id_that_names_no_run(web: Web, run_id: str) -> None:
    for method, rest in (("GET", ""), ("GET", "/result"), ("GET", "/log"), ("DELETE", "")):
        problem(web.call(method, f"/api/runs/{run_id}{rest}"), 404)


QUERIES = [
    ("/api/runs?limit=0", "limit"), ("/api/runs?limit=501", "limit"), ("/api/runs?limit=x", "limit"),
    ("/api/runs?limit=", "limit"), ("/api/runs?limit=1e2", "limit"), ("/api/runs?offset=-1", "offset"),
    ("/api/runs?offset=" + "9" * 5000, "offset"), ("/api/runs?state=gone", "state"), ("/api/runs?limit=1&limit=2", "limit"),
    ("/api/runs?page=2", "page"), ("/api/queue?limit=0", "limit"), ("/api/queue?x=1", "x"), ("/api/lanes?x=1", "x"),
    ("/api/bench?x=1", "x"), ("/api/events?token=secret", "token"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "field"), QUERIES, ids=lambda value: value[:40])
def test_a_parameter_that_cannot_be_used(web: Web, path: str, field: str) -> None:
    assert problem(web.get(path), 422)["errors"][0]["field"] == field


@pytest.mark.parametrize("last", ["x", "-1", "1-", "1-2-3", "1" * 30, "$", "0-" + "9" * 20, "１"])
def test_a_last_event_id_that_is_none(web: Web, last: str) -> None:
    raw = last.encode().decode("latin-1")
    found = problem(web.get("/api/events", headers={"Last-Event-ID": raw}), 422)
    assert found["errors"][0]["field"] == "Last-Event-ID"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/runs", "DELETE, GET, HEAD, POST"),
        ("PATCH", "/api/runs/00000000-0000-0000-0000-000000000000", "DELETE, GET, HEAD"),
        ("POST", "/api/queue", "GET, HEAD"),
        ("OPTIONS", "/api/lanes", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("TRACE", "/api/runs", "DELETE, GET, HEAD, POST"),
    ],
)
def test_another_method(web: Web, method: str, path: str, allowed: str) -> None:
    answer = web.call(method, path)
    problem(answer, 405)
    assert ", ".join(sorted(answer.headers["allow"].split(", "))) == allowed


ADDRESSES = [
    "/api",
    "/api/",
    "/api/run",
    "/api/runs/",
    "/api//runs",
    "/API/runs",
    "/nosuch",
    "/static/x",
    "/api/%2e%2e/x",
]


@pytest.mark.parametrize("path", ADDRESSES)
def test_another_address(web: Web, path: str) -> None:
    problem(web.get(path), 404)


PROTOCOL = [
    (b"nonsense\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\n\r\n", 505),
    (b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400),
    (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", 414),
    (b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 413),
    (b"POST /api/runs HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
    (b"POST /api/runs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
]


@pytest.mark.parametrize(("sent", "status"), PROTOCOL, ids=lambda value: str(value)[:40])
def test_errors_of_the_protocol_are_problems_too(web: Web, sent: bytes, status: int) -> None:
    head, _, body = web.raw(sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status


def test_a_refusal_is_quick(web: Web) -> None:
    """The most expensive bodies within the limit."""
    for services in ("https/udp," * 5000, "1-100," * 900, ["1-100"] * 900):
        began = time.monotonic()
        assert web.submit(services=services, source="x").status == 422
        assert time.monotonic() - began < patience(1.0)
