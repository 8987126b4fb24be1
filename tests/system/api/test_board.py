"""rq-dashboard under /rq: everything that it can show is shown, nothing can be changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

from app.integrations.rq_board import SAFE
from ledger.store import Ledger
from tests.support.runs import promoted, submitted
from tests.support.server import Server
from tests.support.web import Web, application

VALUES = {"instance_number": "0", "queue_name": "main-quick", "registry_name": "deferred", "per_page": "8",
          "order": "asc", "page": "1", "job_id": "", "filename": "js/jquery-3.5.1.min.js"}  # fmt: skip


def board_routes(server: Server, tmp_path: Path) -> list[tuple[str, str, set[str]]]:
    """(endpoint, address with example values, methods) of every route of the dashboard."""
    from ledger.settings import Settings

    settings = Settings(redis_url=server.url, data=tmp_path)
    with Ledger.connect(settings) as ledger:
        app = application(settings, ledger)
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("rq_dashboard.")]
    return [(rule.endpoint, str(rule), set(rule.methods or ())) for rule in rules]


def test_each_route_is_safe_or_blocked(
    web: Web, ledger: Ledger, client: redis.Redis, server: Server, tmp_path: Path
) -> None:
    waiting, busy = submitted(ledger), promoted(ledger)
    routes = board_routes(server, tmp_path)
    assert {endpoint for endpoint, _, _ in routes} >= SAFE
    assert len(routes) >= 15
    before = {key: client.dump(key) for key in client.scan_iter("rq:*")}
    shown = set()
    for endpoint, rule, methods in routes:
        values = {**VALUES, "job_id": waiting.id}
        path = rule
        for name, value in values.items():
            path = re.sub(rf"<(?:\w+:)?{name}>", value, path)
        assert "<" not in path, rule
        for method in sorted(methods | {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}):
            answer = web.call(method, path)
            if endpoint in SAFE and method in ("GET", "HEAD"):
                assert answer.status == 200 or re.search(r":\d+/rq/", answer.headers["location"]), (method, path)
                shown.add(endpoint)
            else:
                assert answer.status in (404, 405), (method, path)
    assert shown == SAFE
    assert {key: client.dump(key) for key in client.scan_iter("rq:*")} == before
    assert ledger.run(busy.id).state == "promoted"


def test_what_waits_is_shown_as_deferred(web: Web, ledger: Ledger) -> None:
    run = submitted(ledger)
    queues = {queue["name"]: queue for queue in web.get("/rq/0/data/queues.json").json["queues"]}
    assert queues["main-quick"]["deferred_job_registry_count"] == 1
    jobs = web.get("/rq/0/data/jobs/main-quick/deferred/8/asc/1.json").json["jobs"]
    assert [job["id"] for job in jobs] == [run.id]
    assert web.get(f"/rq/0/data/job/{run.id}.json").json["status"] == "deferred"


def test_no_user_text_reaches_its_pages(web: Web, ledger: Ledger) -> None:
    """Its job page does not escape descriptions: ours contain only the id."""
    run = submitted(ledger)
    job = web.get(f"/rq/0/data/job/{run.id}.json").json
    text = (job["description"] or "") + job["metadata"]
    assert run.source not in text
    assert "<" not in text.replace(run.id, "")


def test_workers_are_shown(web: Web, server: Server) -> None:
    plain = redis.Redis.from_url(server.url)
    worker = SimpleWorker([Queue("main-quick-0", connection=plain)], connection=plain, serializer=JSONSerializer)
    worker.register_birth()
    try:
        (shown,) = web.get("/rq/0/data/workers.json").json["workers"]
        assert (shown["name"], shown["queues"]) == (worker.name, ["main-quick-0"])
        assert web.get("/rq/0/view/workers").status == 200
    finally:
        worker.register_death()
        plain.close()


NONSENSE = [
    "/rq/1/", "/rq/99999999999999999999/", "/rq/-1/", "/rq/0/view/jobs/main-quick/nosuch/8/asc/1",
    "/rq/0/data/jobs/main-quick/deferred/0/asc/1.json", "/rq/0/data/jobs/main-quick/deferred/x/asc/1.json",
    "/rq/0/data/jobs/main-quick/deferred/8/asc/0.json", "/rq/0/data/jobs/main-quick/deferred/8/asc/-1.json",
    "/rq/0/data/jobs/main-quick/deferred/8/up/1.json", "/rq/0/data/jobs/main-quick/deferred/99999/asc/1.json",
    "/rq/0/data/jobs/main-quick/deferred/%C2%B2/asc/1.json", "/rq/0/data/jobs/%3Cscript%3E/deferred/8/asc/1.json",
    "/rq/0/data/job/nosuch.json", "/rq/0/data/job/00000000-0000-0000-0000-000000000000.json",
    "/rq/0/view/job/00000000-0000-0000-0000-000000000000", "/rq/0/view/job/..%2f..", "/rq/static/../web.py",
    "/rq/static/%2e%2e/web.py", "/rq/requeue/main-quick", "/rq/nosuch",
]  # fmt: skip


@pytest.mark.parametrize("path", NONSENSE)
def test_nonsense_is_not_found(web: Web, path: str) -> None:
    answer = web.get(path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_its_pages_reach_nothing_but_this_server(web: Web, ledger: Ledger) -> None:
    submitted(ledger)
    for path in ("/rq/", "/rq/0/view/workers", "/rq/0/view/jobs"):
        page = web.get(path)
        found = re.findall(
            r"""<(?:script|link|img)[^>]*(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""", page.body.decode()
        )
        assert found == [], path
        assert "http" not in page.headers["content-security-policy"]


def test_our_jobs_cannot_be_unpickled_by_mistake(ledger: Ledger, server: Server) -> None:
    run = submitted(ledger)
    plain = redis.Redis.from_url(server.url)
    job = Job.fetch(run.id, connection=plain, serializer=JSONSerializer)
    assert (job.func_name, list(job.args)) == ("workers.jobs.run", [run.id])
    plain.close()
