"""Snapshots over HTTP: pushed as an archive, listed, used, pinned and removed; roles, limits and hostile bodies."""

from __future__ import annotations

import http.client
import io
import socket
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from ledger.people.records import UserRole
from ledger.snapshots.records import SnapshotState
from ledger.store import Ledger
from netlab.facts import reader
from tests.support.patience import patience
from tests.support.people import Person, person
from tests.support.waiting import wait_until
from tests.support.web import TOKEN, Reply, Web

CAMPUS = Path(__file__).resolve().parents[3] / "networks" / "campus"
FACTS = reader.load(CAMPUS).digest


def archive(*, broken: bool = False, padding: int = 0) -> bytes:
    """The sample network as tar.gz; `broken` with a fault in one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        packed.add(CAMPUS, "campus")
        if broken:
            info = tarfile.TarInfo("campus/zz/addr.json")
            info.size = 3
            packed.addfile(info, io.BytesIO(b"[{]"))
    return out.getvalue() + b"\0" * padding


def push(web: Web, data: bytes, query: str = "", **more: object) -> Reply:
    return web.call("POST", f"/api/snapshots{query}", data, **more)  # type: ignore[arg-type]


@pytest.fixture
def people(web: Web, ledger: Ledger) -> dict[str, Person]:
    return {role: person(ledger, f"{role}-1", role) for role in UserRole}


@pytest.fixture
def stored(web: Web, ledger: Ledger) -> str:
    """The sample network, as a host has checked it."""
    assert push(web, archive()).status == 202
    assert ledger.settle_check(FACTS, SnapshotState.READY, host="h", problems=[], warnings=["w"])
    return FACTS


def test_a_snapshot_is_pushed_and_read(web: Web, ledger: Ledger) -> None:
    answer = push(web, archive(), "?note=before%20the%20move&name=campus")
    assert (answer.status, answer.headers["location"]) == (202, f"/api/snapshots/{FACTS}")
    document = answer.json
    assert (document["facts"], document["state"], document["by"]) == (FACTS, "checking", "api")
    assert (document["note"], document["origin"], document["routers"]) == ("before the move", "campus", 11)
    assert web.get(f"/api/snapshots/{FACTS}").json == document
    assert web.get(f"/api/snapshots/{FACTS[:4]}").json == document
    assert web.get("/api/snapshots").json == {"snapshots": [document]}
    assert len(ledger.snapshot_files(FACTS).contents) > 20
    ledger.settle_check(FACTS, SnapshotState.REFUSED, host="h", problems=["a:1: bad"], warnings=[])
    again = web.get(f"/api/snapshots/{FACTS}").json
    assert (again["state"], again["problems"]) == ("refused", ["a:1: bad"])


def test_a_push_can_wait_for_the_check(web: Web, ledger: Ledger, stored: str) -> None:
    assert push(web, archive(), "?wait=5").status == 200
    assert push(web, archive(), "?wait=5").json["state"] == "ready"


def test_a_snapshot_is_used_pinned_and_removed(web: Web, stored: str) -> None:
    at = f"/api/snapshots/{stored}"
    assert web.call("POST", f"{at}/use").json["current"] is True
    assert web.get("/api/snapshots/current").json["facts"] == stored
    assert web.call("DELETE", at).status == 409
    pinned = web.call("POST", f"{at}/pin?why=audit").json
    assert (pinned["pinned"], pinned["pinned_by"], pinned["pinned_why"]) == (True, "api", "audit")
    assert web.call("DELETE", f"{at}/pin").json["pinned"] is False


def test_a_snapshot_that_is_not_current_is_removed(web: Web, stored: str, client: redis.Redis) -> None:
    assert web.call("DELETE", f"/api/snapshots/{stored}").json["facts"] == stored
    assert web.get(f"/api/snapshots/{stored}").status == 404
    assert client.keys("reachq:file*") == []


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b"hello", "archive", "is not a complete tar"),
        (b"", "archive", "is not a complete tar"),
        (archive()[:-300], "archive", "is not a complete tar"),
        (archive(broken=True), "zz/addr.json:1", "is not valid JSON"),
    ],
    ids=["text", "nothing", "cut off", "a file with a fault"],
)
def test_facts_that_cannot_be_used_are_refused(web: Web, untouched: None, body: bytes, field: str, words: str) -> None:
    answer = push(web, body)
    assert answer.status == 422
    assert any(error["field"] == field and words in error["message"] for error in answer.json["errors"]), answer.json


@pytest.mark.parametrize(
    "query", ["?note=" + "x" * 201, "?wait=100", "?wait=x", "?name=a%1bb", "?other=1", "?note=%00"]
)
def test_a_query_that_cannot_be_used_is_refused(web: Web, untouched: None, query: str) -> None:
    assert push(web, archive(), query).status == 422


def test_what_is_not_there_is_404(web: Web) -> None:
    for method, path in [("GET", ""), ("DELETE", ""), ("POST", "/use"), ("POST", "/pin"), ("DELETE", "/pin")]:
        for name in ("0" * 12, "current", "zz", "..%2f", "a" * 300):
            assert web.call(method, f"/api/snapshots/{name}{path}").status == 404, (method, name)


def test_roles(web: Web, people: dict[str, Person], stored: str) -> None:
    """All see snapshots, users push them, and only admins change what runs are tested on."""
    changes = [("POST", "/use"), ("POST", "/pin"), ("DELETE", "/pin"), ("DELETE", "")]
    for role in (UserRole.VIEWER, UserRole.USER):
        headers = people[role].program()
        assert web.get(f"/api/snapshots/{stored}", headers=headers, token=None).status == 200
        for method, path in changes:
            assert web.call(method, f"/api/snapshots/{stored}{path}", headers=headers, token=None).status == 403
    assert push(web, archive(), headers=people[UserRole.VIEWER].program(), token=None).status == 403
    assert push(web, archive(), headers=people[UserRole.USER].program(), token=None).status == 200
    assert push(web, archive(), token=None).status == 401


def test_an_archive_may_be_large_and_other_bodies_may_not(web: Web, ledger: Ledger) -> None:
    """gzip ignores the NULs after its end, so a large upload is still a network."""
    assert push(web, archive(padding=20 << 20)).status == 202
    assert push(web, b"\0" * (33 << 20)).status == 413
    assert web.call("POST", "/api/runs", b" " * (100 << 10)).status == 413


@pytest.fixture
def slow_uploads(web: Web) -> Iterator[list[socket.socket]]:
    """Four uploads that have sent only a part."""
    with ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.1", web.port), patience(10))) for _ in range(4)
        ]
        for one in opened:
            one.sendall(b"POST /api/snapshots HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\nabc")
        yield opened


def test_few_uploads_are_received_at_once(web: Web, slow_uploads: list[socket.socket]) -> None:
    """A further one gets 503 at once; other requests are served; a place is free when an upload ends."""

    def status() -> int:
        try:
            return push(web, archive()).status
        except (http.client.HTTPException, ConnectionError):
            return 0

    wait_until(lambda: status() in (503, 0), 10, "the fifth upload is turned away")
    assert web.get("/api/snapshots").status == 200
    slow_uploads[0].close()
    wait_until(lambda: status() == 202, 10, "there is room again")


def test_a_chunked_body_of_an_upload_is_small(web: Web) -> None:
    """The end of a chunked body is searched for in all of it, so a large one would cost too much."""
    head = f"POST /api/snapshots HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", web.port), patience(10)) as sock:
        sock.sendall(head.encode())
        try:
            for _ in range(40):
                sock.sendall(chunk)
            answer = sock.recv(1000)
        except ConnectionError:
            pass
    assert b" 202 " not in answer
    assert web.get("/api/snapshots").json == {"snapshots": []}


# pages


def form(fields: dict[str, str], data: bytes | None, name: str = "campus.tar.gz") -> tuple[bytes, dict[str, str]]:
    """A form with a file, as a browser sends it."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields.items()
    ]
    if data is not None:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="archive"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + data + b"\r\n")
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), {
        "Content-Type": f"multipart/form-data; boundary={boundary}"
    }


def test_a_browser_pushes_and_uses_a_snapshot(web: Web, ledger: Ledger, people: dict[str, Person]) -> None:
    admin = people[UserRole.ADMIN]
    body, headers = form({"csrf": admin.session.csrf, "note": "by hand"}, archive())
    answer = web.call("POST", "/snapshots", body, {**admin.browser(), **headers}, token=None)
    assert (answer.status, answer.headers["location"]) == (303, f"/snapshots/{FACTS}")
    page = web.get(f"/snapshots/{FACTS}", headers=admin.browser(), token=None)
    assert b'http-equiv="refresh"' in page.body
    assert ledger.settle_check(FACTS, SnapshotState.READY, host="h", problems=[], warnings=["<b>w</b>"])
    page = web.get(f"/snapshots/{FACTS}", headers=admin.browser(), token=None)
    assert b'http-equiv="refresh"' not in page.body
    assert b"&lt;b&gt;w&lt;/b&gt;" in page.body
    for act, text in (("use", "is current now"), ("pin", "is pinned"), ("unpin", "pin is removed")):
        body, headers = form({"csrf": admin.session.csrf, "why": "audit"}, None)
        done = web.call("POST", f"/snapshots/{FACTS}/{act}", body, {**admin.browser(), **headers}, token=None)
        assert done.status == 303, act
        assert text.encode() in web.get(done.headers["location"], headers=admin.browser(), token=None).body
    body, headers = form({"csrf": admin.session.csrf}, None)
    kept = web.call("POST", f"/snapshots/{FACTS}/remove", body, {**admin.browser(), **headers}, token=None)
    assert kept.status == 422
    assert b"is current, so it is kept" in kept.body
    listed = web.get("/snapshots", headers=admin.browser(), token=None).body
    assert FACTS.encode() in listed
    assert b"by hand" in listed


@pytest.mark.parametrize(("data", "words"), [(None, "choose a tar archive"), (b"x", "is not a complete tar")])
def test_a_browser_sees_why_a_push_failed(
    web: Web, people: dict[str, Person], untouched: None, data: bytes | None, words: str
) -> None:
    user = people[UserRole.USER]
    body, headers = form({"csrf": user.session.csrf}, data)
    answer = web.call("POST", "/snapshots", body, {**user.browser(), **headers}, token=None)
    assert answer.status == 422
    assert words in answer.body.decode()


def test_a_form_without_its_token_is_refused(web: Web, people: dict[str, Person], untouched: None) -> None:
    user = people[UserRole.USER]
    body, headers = form({"csrf": "wrong"}, archive())
    browser = user.browser(csrf=False)
    assert web.call("POST", "/snapshots", body, {**browser, **headers}, token=None).status == 403


def test_roles_of_the_pages(web: Web, people: dict[str, Person], stored: str) -> None:
    for role, sees_form, sees_actions in ((UserRole.VIEWER, 0, 0), (UserRole.USER, 1, 0), (UserRole.ADMIN, 1, 1)):
        browser = people[role].browser()
        assert (b"multipart/form-data" in web.get("/snapshots", headers=browser, token=None).body) == bool(sees_form)
        one = web.get(f"/snapshots/{stored}", headers=browser, token=None)
        assert (b"Make current" in one.body) == bool(sees_actions)


def altered() -> bytes:
    """The sample network with another policy of one firewall."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        for path in sorted(path for path in CAMPUS.rglob("*") if path.is_file()):
            data = path.read_bytes()
            if path.parent.name == "dc-fw" and path.name == "iptables.rules":
                data = data.replace(b":FORWARD DROP", b":FORWARD ACCEPT")
            info = tarfile.TarInfo(f"campus/{path.relative_to(CAMPUS)}")
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_the_changes_between_two_snapshots(web: Web, people: dict[str, Person], stored: str) -> None:
    """In one line in the list, by router and rule in the document and on the page."""
    assert web.call("POST", f"/api/snapshots/{stored}/use").status == 200
    newer = push(web, altered()).json
    assert newer["previous"] == stored
    assert newer["changes"] == "1 router changed: dc-fw (1 chain changed)"
    found = web.get(f"/api/snapshots/{stored}/diff?to={newer['facts']}").json
    ((router,), summary) = (found["routers"], found["summary"])
    assert (router["router"], router["kind"], summary) == ("dc-fw", "changed", newer["changes"])
    (change,) = router["groups"][0]["changes"]
    assert "DROP" in change["before"]["text"]
    assert "ACCEPT" in change["after"]["text"]
    assert change["before"]["line"] == change["after"]["line"] > 0
    assert web.get(f"/api/snapshots/{stored}/diff").json["routers"] == []
    for path in (f"/api/snapshots/{stored}/diff?to=ffff", "/api/snapshots/ffff/diff"):
        assert web.get(path).status == 404
    page = web.get(
        f"/snapshots/{stored}/diff?to={newer['facts']}", headers=people[UserRole.VIEWER].browser(), token=None
    )
    assert page.status == 200
    assert b"dc-fw" in page.body
    assert b"FORWARD" in page.body
