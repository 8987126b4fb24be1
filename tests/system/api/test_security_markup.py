"""Attacks by displayed text: markup in every text from users, routers or other processes, on every page.

A row plants its payload, then every page that a user may open is parsed as by a browser: no element and no attribute
may have come from it (attacks.wrong_with), and some page must show it, or the row would prove nothing.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from ledger.events import Kind
from ledger.runs.run import Mode, Run
from ledger.store import Ledger
from tests.support.attacks import FORM, NONE, PAGE, PAYLOAD, ours, shows, values, wrong_with
from tests.support.people import Person, person
from tests.support.results import answer_with, sample
from tests.support.runs import a_request, leading, running, submitted
from tests.support.server import Server
from tests.support.web import QUESTION, ROOT, TOKEN, Reply, Web

NAMES = frozenset(
    "name router in out text reason sentence file chain chains table family hook verdict path blocked_by also_blocked_by "
    "reply_path refused_by caveats facts".split()
)
"""Fields of a result whose texts come from a router's facts, or are made of them."""


@pytest.fixture
def admin(web: Web, ledger: Ledger) -> Person:
    return person(ledger, "ada", "admin")


def poisoned(said: Any, *, inside: bool = False) -> Any:
    """A result document in which every text of a router carries the payload."""
    if isinstance(said, dict):
        ended = "verdict" in said and "services" in said  # the document itself: reachq chooses the verdict
        return {
            key: nat(value)
            if key == "nat"
            else poisoned(value, inside=key in NAMES and not (ended and key == "verdict"))
            for key, value in said.items()
        }
    if isinstance(said, list):
        return [poisoned(value, inside=inside) for value in said]
    return f"{said}{PAYLOAD}" if inside and isinstance(said, str) else said


def nat(said: dict[str, str] | None) -> dict[str, str] | None:
    return said and {when: f"{PAYLOAD}{text}" for when, text in said.items()}


def done(ledger: Ledger, name: str, mode: Mode) -> Run:
    run = running(ledger, mode)
    ledger.finish(run.id, run.token, answer_with(poisoned(sample(name))))
    return run


def failed(ledger: Ledger) -> Run:
    run = running(ledger)
    ledger.fail(run.id, run.token, f"the bench said {PAYLOAD}")
    return run


def waiting(ledger: Ledger) -> Run:
    run = submitted(ledger)
    ledger.explain({run.id: (f"code{PAYLOAD}", f"it waits for {PAYLOAD}")})
    return run


def under_way(ledger: Ledger) -> Run:
    run = running(ledger, Mode.DETAILED)
    ledger.progress(run.id, run.token, f"phase {PAYLOAD}", 40, f"says {PAYLOAD}")
    return run


def bench_status(ledger: Ledger) -> None:
    host = {"address": PAYLOAD, "place": PAYLOAD, "references": {f"{NONE}{PAYLOAD}": 1}}
    more = {"hosts": [host], "locks": {PAYLOAD: NONE}, "routers": [PAYLOAD]}
    ledger.report_bench(
        {"state": "down", "error": PAYLOAD, "network": PAYLOAD, "facts": PAYLOAD, "since_ms": 1, **more}
    )


def cancelled(ledger: Ledger) -> Run:
    run = submitted(ledger)
    ledger.cancel(run.id, by=PAYLOAD)
    return run


def of_a_strange_user(ledger: Ledger) -> Run:
    """A user name that submit refuses, as a record from elsewhere may have it."""
    run = cancelled(ledger)
    ledger.connection.client.hset(f"reachq:run:{run.id}", "user", f"ann{PAYLOAD}")
    return ledger.run(run.id)


STORED: dict[str, Callable[[Ledger], object]] = {
    "a token's label": lambda ledger: ledger.add_token("ada", "rq_" + "x" * 40, PAYLOAD, by="ada") and None,
    "a session's user agent": lambda ledger: (
        ledger.start_session("ada", "c" * 43, via="password", address="::1", agent=PAYLOAD) and None
    ),
    "a session's address": lambda ledger: (
        ledger.start_session("ada", "c" * 43, via="proxy", address=f"fe80::1%{PAYLOAD}", agent="x") and None
    ),
    "why the bench is paused": lambda ledger: ledger.pause("ada", f"for {PAYLOAD}") and None,
    "who paused the bench": lambda ledger: ledger.pause(PAYLOAD, "why not") and None,
    "why a host is drained": lambda ledger: ledger.drain_host("local", "ada", f"for {PAYLOAD}") and None,
    "who drained a host": lambda ledger: ledger.drain_host("local", PAYLOAD, "why not") and None,
    "who cancelled a run": cancelled,
    "whose a run is": of_a_strange_user,
    "why a run waits": waiting,
    "why a run failed": failed,
    "the progress of a run": under_way,
    "a quick run's rules and routers": lambda ledger: done(ledger, "quick", Mode.QUICK),
    "a long quick run's rules and routers": lambda ledger: done(ledger, "quick-many", Mode.QUICK),
    "a detailed run's rules and routers": lambda ledger: done(ledger, "detailed", Mode.DETAILED),
    "a detailed run's translations": lambda ledger: done(ledger, "detailed-nat", Mode.DETAILED),
    "what the bench reports": bench_status,
    "a worker's name": lambda ledger: ledger.announce(PAYLOAD, f"main-quick-0{PAYLOAD}", Mode.QUICK, 1) and None,
    "a dispatcher's name": lambda ledger: leading(ledger, f"d{PAYLOAD}") and None,
    "what an audit event says": lambda ledger: ledger.note(
        Kind.SIGN_IN_FAILED, PAYLOAD, user=PAYLOAD, address=PAYLOAD, more=PAYLOAD
    ),
    "what an event of a newer version says": lambda ledger: (
        ledger.connection.client.xadd(
            "reachq:events", {"kind": PAYLOAD, "bench": PAYLOAD, "by": PAYLOAD, PAYLOAD: PAYLOAD}
        )
        and None
    ),
}


def opened(web: Web, admin: Person, run: Run | None) -> Iterator[tuple[str, bytes]]:
    """Every page that an admin may open, about this run where possible."""
    filling = values(run.id if run else NONE, name="dc-fw")
    for address in ours(safe=True):
        if address.path.startswith(("/api/", "/static/", "/healthz", "/readyz", "/metrics")):
            continue
        path = address.filled(filling)
        for query in ("", "?kind=all") if path == "/audit" else ("",):
            answer = web.get(path + query, headers=admin.browser() | PAGE, token=None)
            assert answer.status < 500, (path, answer.body)
            if answer.headers["content-type"].startswith("text/html"):
                yield path, answer.body
            else:
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "html" not in answer.headers["content-type"]
    if run:
        for path in (f"/?from={run.id}", f"/compare?a={run.id}&b={run.id}", f"/runs?text={run.id[:8]}"):
            yield path, web.get(path, headers=admin.browser() | PAGE, token=None).body


@pytest.mark.parametrize("field", STORED)
def test_stored_markup(web: Web, admin: Person, ledger: Ledger, field: str) -> None:
    run = STORED[field](ledger)
    pages = dict(opened(web, admin, run if isinstance(run, Run) else None))
    assert {path: wrong_with(page) for path, page in pages.items() if wrong_with(page)} == {}
    assert shows(pages.values(), PAYLOAD), "no page says it: the row shows nothing"


def test_a_quick_and_a_detailed_run_beside_each_other(web: Web, admin: Person, ledger: Ledger) -> None:
    """Which also describes other rules and paths, with separate texts."""
    one, other = done(ledger, "quick", Mode.QUICK), done(ledger, "detailed-nat", Mode.DETAILED)
    for a, b in ((one, other), (other, one)):
        page = web.get(f"/compare?a={a.id}&b={b.id}", headers=admin.browser() | PAGE, token=None)
        assert page.status == 200
        assert wrong_with(page.body) == []
        assert shows([page.body], PAYLOAD)


def test_the_boards_stream(web: Web, admin: Person, ledger: Ledger) -> None:
    """Its snapshots are inserted into the page unchanged."""
    bench_status(ledger)
    ledger.pause(PAYLOAD, PAYLOAD)
    with socket.create_connection(("127.0.0.1", web.port), 10) as sock:
        sock.sendall(
            f"GET /api/events?with=board HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        received = b""
        ledger.announce(PAYLOAD, "main-quick-0", Mode.QUICK, 1)
        while b"event: board" not in received or not received.endswith(b"\n\n"):
            received += sock.recv(65536)
    (picture,) = [line for line in received.split(b"event: board\n")[1].split(b"\n") if line][:1]
    assert picture.startswith(b"data: ")
    assert wrong_with(picture) == []
    assert shows([picture], PAYLOAD)


# texts that are returned directly

P = quote(PAYLOAD, safe="")
LINKS = [
    *[f"/?{field}={P}" for field in ("source", "destination", "services", "mode", "source_port", "default_protocol")],
    f"/?from={P}", f"/preview?source={P}&destination={P}&services={P}&source_port={P}&mode={P}&default_protocol={P}",
    f"/runs?text={P}&user={P}", f"/runs?state={P}&mode={P}&verdict={P}&offset={P}", f"/runs/{P}", f"/runs/{P}/live",
    f"/audit?user={P}&run={P}", f"/audit?kind={P}&before={P}", f"/compare?a={P}&b={P}", f"/network/{P}", f"/{P}",
    f"/account?said={P}", f"/board?said={P}", f"/docs/api?{P}={P}", f"/docs/{P}", f"/static/{P}", f"/rq/{P}",
    f"/many?rows={P}", f"/people/{P}/role", f"/board/cancel/{P}", f"/hosts?said={P}", f"/hosts/{P}/drain",
]  # fmt: skip


@pytest.mark.parametrize("link", LINKS)
def test_markup_in_a_link(web: Web, admin: Person, link: str) -> None:
    check(web.get(link, headers=admin.browser() | PAGE, token=None))
    check(web.get(link, headers=PAGE, token=None))


@pytest.mark.parametrize("then", [f"/{PAYLOAD}", PAYLOAD, "javascript:pwn()", "data:text/html,<pwn>", f"//{PAYLOAD}"])
def test_markup_in_where_to_go_on(web: Web, then: str) -> None:
    check(web.get(f"/sign-in?{urlencode({'next': then, 'said': then, 'name': then})}", headers=PAGE, token=None))
    body = urlencode({"next": then, "name": PAYLOAD, "password": PAYLOAD}).encode()
    check(web.call("POST", "/sign-in", body, FORM | PAGE, token=None))


FORMS: dict[str, tuple[str, dict[str, str]]] = {
    **{f"the question's {field}": ("/", {**QUESTION, field: PAYLOAD}) for field in (*QUESTION, "mode", "source_port")},
    "the form's key": ("/", {**QUESTION, "key": PAYLOAD}),
    "rows": ("/many", {"rows": f'{PAYLOAD},{PAYLOAD},{PAYLOAD}\n"{PAYLOAD}";\'{PAYLOAD}'}),
    "rows under names": ("/many", {"rows": f"source,destination,services,{PAYLOAD}\n1,2,3,{PAYLOAD}"}),
    "rows that can be asked": ("/many", {"rows": f"#{PAYLOAD}\n10.1.10.20,10.3.20.8,443", "mode": PAYLOAD}),
    "a mode of rows": ("/many", {"rows": "10.1.10.20,10.3.20.8,443", "mode": PAYLOAD, "default_protocol": PAYLOAD}),
    "a label too long": ("/account/tokens", {"label": PAYLOAD * 20}),
    "a label": ("/account/tokens", {"label": PAYLOAD}),
    "a label that cannot be": ("/account/tokens", {"label": f"{PAYLOAD}\x00"}),
    "passwords": ("/account/password", {"old": PAYLOAD, "new": PAYLOAD * 3, "again": PAYLOAD * 3}),
    "a new user": ("/people", {"name": PAYLOAD, "role": "user"}),
    "a new user's role": ("/people", {"name": "carla", "role": PAYLOAD}),
    "a role": ("/people/ada/role", {"role": PAYLOAD}),
    "whose role": (f"/people/{P}/role", {"role": "user"}),
    "whose password": (f"/people/{P}/password", {}),
    "who is removed": (f"/people/{P}/remove", {}),
    "which token": (f"/account/tokens/{P}/revoke", {}),
    "which session": (f"/account/sessions/{P}/revoke", {}),
    "which run": (f"/board/cancel/{P}", {}),
    "which runs": ("/runs/cancel", {"text": PAYLOAD, "user": PAYLOAD, "mode": PAYLOAD, "state": PAYLOAD}),
    "whose run": (f"/runs/{P}/cancel", {}),
    "which host": (f"/hosts/{P}/drain", {"why": PAYLOAD}),
    "which host is resumed": (f"/hosts/{P}/resume", {}),
    "why a host is drained": ("/hosts/local/drain", {"why": PAYLOAD}),
    "a reason for a host that cannot be": ("/hosts/local/drain", {"why": f"{PAYLOAD}\x07"}),
    "a reason that cannot be": ("/board/pause", {"why": f"{PAYLOAD}\x07"}),
}


@pytest.mark.parametrize("what", FORMS)
def test_markup_in_a_form(web: Web, admin: Person, what: str) -> None:
    path, form = FORMS[what]
    body = urlencode({"csrf": admin.session.csrf, **form}).encode()
    check(web.call("POST", path, body, admin.browser(csrf=False) | FORM | PAGE, token=None))


def test_markup_in_a_file(web: Web, admin: Person) -> None:
    parts = (
        f'--x\r\nContent-Disposition: form-data; name="file"; filename="{quote(PAYLOAD)}<pwn>.csv"\r\n'
        f"Content-Type: text/html\r\n\r\n{PAYLOAD},{PAYLOAD}\r\n--x--\r\n"
    )
    headers = admin.browser() | {"Content-Type": "multipart/form-data; boundary=x"} | PAGE
    answer = web.call("POST", "/many", parts.encode(), headers, token=None)
    check(answer)
    assert shows([answer.body], PAYLOAD)


@pytest.mark.parametrize("header", ["Host", "Origin", "Referer", "HX-Current-URL", "X-CSRF-Token", "Sec-Fetch-Site"])
def test_markup_in_a_header(web: Web, admin: Person, header: str) -> None:
    for headers in (admin.browser(), {}, {"HX-Request": "true"}):
        headers = headers | PAGE | {header: PAYLOAD}
        check(web.get("/runs", headers=headers, token=None))
        check(web.call("POST", "/board/pause", b"why=x", headers | FORM, token=None))


def check(answer: Reply) -> None:
    """Check that the response contains nothing made by the payload, is no redirect to elsewhere and no internal error."""
    assert answer.status < 500, answer.body
    assert PAYLOAD not in answer.headers.get("location", "")
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert wrong_with(answer.body) == []
    else:
        assert answer.headers["x-content-type-options"] == "nosniff"


# facts of a router that another team manages


@pytest.fixture
def hostile(server: Server, ledger: Ledger, tmp_path: Path) -> Iterator[Web]:
    """A web server on facts with markup in the network's name and in rules; names of interfaces cannot hold any."""
    network = tmp_path / f"net {PAYLOAD}"
    shutil.copytree(ROOT / "networks" / "campus", network)
    comment = PAYLOAD.replace('"', '\\"')
    for path in network.rglob("iptables.rules"):
        named = re.sub(r"(?m)^(-A \S+)", lambda rule: f'{rule[1]} -m comment --comment "{comment}"', path.read_text())
        path.write_text(named)
    for path in network.rglob("*.rules"):
        path.write_text(f"# {PAYLOAD}\n{path.read_text()}# {PAYLOAD}\n")
    web = Web(server.url, tmp_path, REACHQ_NETWORK=str(network), REACHQ_PRESETS=json.dumps({PAYLOAD: "443"}))
    yield web
    web.stop()


def test_hostile_facts(hostile: Web, ledger: Ledger) -> None:
    admin = person(ledger, "ada", "admin")
    paths = ["/network", "/network/dc-fw", "/network/hq-core", "/preview?source=10.1.10.20&destination=10.3.20.8", "/"]
    for path in paths:
        answer = hostile.get(path, headers=admin.browser() | PAGE, token=None)
        assert answer.status == 200
        assert wrong_with(answer.body) == [], path
        assert path.startswith("/preview") or shows([answer.body], PAYLOAD), path  # it shows interfaces alone


def test_facts_that_cannot_be_read(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    admin = person(ledger, "ada", "admin")
    network = tmp_path / f"net {PAYLOAD}"
    (network / "r").mkdir(parents=True)
    (network / "r" / "addr.json").write_text(PAYLOAD)
    web = Web(server.url, tmp_path, REACHQ_NETWORK=str(network))
    try:
        for path in ("/network", "/preview", "/"):
            answer = web.get(path, headers=admin.browser() | PAGE, token=None)
            assert answer.status == 200
            assert wrong_with(answer.body) == [], path
            assert path != "/network" or shows([answer.body], PAYLOAD)
    finally:
        web.stop()


# rq-dashboard, whose pages may have inline scripts and insert the data that they fetch


@pytest.fixture
def hostile_jobs(server: Server) -> Iterator[str]:
    """A failed job, a worker and a queue with hostile content; the job's id."""
    plain = redis.Redis.from_url(server.url)
    queue = Queue(f"q{PAYLOAD}", connection=plain, serializer=JSONSerializer)
    job = Job.create(
        f"x.{PAYLOAD}", [PAYLOAD], connection=plain, serializer=JSONSerializer, description=PAYLOAD, origin=PAYLOAD,
        meta={"x": PAYLOAD}, id=NONE,
    )  # fmt: skip
    queue.enqueue_job(job)
    FailedJobRegistry("main-quick", connection=plain).add(job, ttl=60, exc_string=f"Traceback <module> {PAYLOAD}")
    worker = SimpleWorker([queue], connection=plain, serializer=JSONSerializer, name=f"w{PAYLOAD}")
    worker.register_birth()
    yield job.id
    worker.register_death()
    for key in plain.scan_iter("rq:*"):
        plain.delete(key)
    plain.close()


def test_markup_through_rq(web: Web, admin: Person, hostile_jobs: str) -> None:
    for path in (
        "/rq/0/data/queues.json", "/rq/0/data/workers.json", f"/rq/0/data/job/{hostile_jobs}.json",
        "/rq/0/data/jobs/main-quick/failed/8/asc/1.json",
    ):  # fmt: skip
        answer = web.get(path, headers=admin.browser(), token=None)
        assert answer.status == 200, path
        for job in answer.json.get("jobs", ()):
            del job["description"], job["exc_info"]  # which the page itself escapes
            answer = Reply(answer.status, answer.headers, json.dumps(answer.json | {"jobs": [job]}).encode())
        assert b"<" not in answer.body.replace(rb"\u003c", b"<"), path
    for path in (
        "/rq/",
        "/rq/0/view/workers",
        f"/rq/0/view/job/{hostile_jobs}",
        "/rq/0/view/jobs/main-quick/failed/8/asc/1",
    ):
        page = web.get(path, headers=admin.browser() | PAGE, token=None)
        assert page.status == 200, path
        assert b"<pwn" not in page.body.lower(), path


def test_no_text_of_a_user_gets_to_rq(web: Web, admin: Person, ledger: Ledger, client: redis.Redis) -> None:
    """What is escaped there does not even exist: jobs contain only the id of their run."""
    ledger.submit(a_request(source="10.66.66.66", source_port=31337), user="somebody")
    output = b"".join(client.dump(key) or b"" for key in client.scan_iter("rq:*"))
    assert output
    assert not any(word in output for word in (b"10.66.66.66", b"31337", b"somebody"))
