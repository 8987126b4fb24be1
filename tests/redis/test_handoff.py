"""Our runs as RQ sees them: a real RQ worker gets them, `rq info` and rq-dashboard show them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from rq import Queue, SimpleWorker, Worker
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import DeferredJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from ledger.redis import rq_layout
from ledger.runs.records import Answer, Choice
from ledger.runs.run import Mode
from ledger.store import Ledger
from tests.support.patience import patience
from tests.support.runs import (
    DETAILED,
    QUICK,
    a_request,
    leading,
    overdue,
    promoted,
    queue_of,
    running,
    submitted,
    worker_of,
)
from tests.support.server import Server

seen: list[str] = []


def noted(run_id: str) -> None:
    """Replaces workers.jobs.run."""
    seen.append(run_id)


@pytest.fixture
def rq_client(server: Server) -> Iterator[redis.Redis]:
    """A client for RQ, which needs bytes."""
    with redis.Redis(unix_socket_path=str(server.socket)) as raw:
        yield raw


@pytest.fixture
def job_function(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let promoted jobs call `noted`; returns the arguments of its calls."""
    monkeypatch.setattr(rq_layout, "FUNCTION", f"{__name__}.noted")
    seen.clear()
    return seen


def fetch(rq_client: redis.Redis, run_id: str) -> Job:
    return Job.fetch(run_id, connection=rq_client, serializer=JSONSerializer)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_pending_run_is_a_deferred_job(ledger: Ledger, rq_client: redis.Redis, mode: Mode) -> None:
    run = submitted(ledger, mode)
    job = fetch(rq_client, run.id)
    assert job.get_status() is JobStatus.DEFERRED
    assert (job.func_name, job.args, job.kwargs) == ("workers.jobs.run", [run.id], {})
    registry = DeferredJobRegistry(f"main-{mode}", connection=rq_client, serializer=JSONSerializer)
    assert registry.get_job_ids() == [run.id]
    assert Queue(f"main-{mode}", connection=rq_client).key in [q.key for q in Queue.all(connection=rq_client)]


def test_no_word_of_a_user_reaches_rq(ledger: Ledger, client: redis.Redis) -> None:
    run, _ = ledger.submit(a_request(), user="mallory")
    assert "mallory" not in str(client.hgetall(f"rq:job:{run.id}"))


def test_a_promoted_run_is_a_queued_job_of_its_worker(ledger: Ledger, rq_client: redis.Redis) -> None:
    run = promoted(ledger)
    job = fetch(rq_client, run.id)
    assert job.get_status() is JobStatus.QUEUED
    assert (job.origin, job.timeout, job.result_ttl) == ("main-quick-0", 90, 0)
    assert job.enqueued_at is not None
    assert job.created_at <= job.enqueued_at
    assert Queue("main-quick-0", connection=rq_client).job_ids == [run.id]
    assert DeferredJobRegistry("main-quick", connection=rq_client).get_job_ids() == []


def test_a_real_worker_runs_it_and_leaves_nothing(
    ledger: Ledger, rq_client: redis.Redis, job_function: list[str]
) -> None:
    run = running(ledger)
    queue = Queue("main-quick-0", connection=rq_client, serializer=JSONSerializer)
    worker = SimpleWorker([queue], connection=rq_client, serializer=JSONSerializer)
    worker.work(burst=True, logging_level="ERROR")
    assert job_function == [run.id]
    ledger.finish(run.id, run.token, Answer("YES"))
    left = [key for key in rq_client.scan_iter("rq:*") if run.id.encode() in key]
    assert left == []
    assert rq_client.zcard("rq:finished:main-quick-0") == 0


def test_a_job_whose_hash_another_attempt_deleted_is_whole_again_when_promoted(
    ledger: Ledger, rq_client: redis.Redis, job_function: list[str]
) -> None:
    run = running(ledger)
    ledger.give_back(run.id, run.token, "the bench is gone")
    rq_client.delete(f"rq:job:{run.id}")
    rq_client.hset(f"rq:job:{run.id}", "last_heartbeat", "of a worker that woke up late")
    rq_client.expire(f"rq:job:{run.id}", 60)
    ledger.promote(leading(ledger), [Choice(run.id, QUICK, queue_of(QUICK))])
    queue = Queue("main-quick-0", connection=rq_client, serializer=JSONSerializer)
    SimpleWorker([queue], connection=rq_client, serializer=JSONSerializer).work(burst=True, logging_level="ERROR")
    assert job_function == [run.id]


def started(rq_client: redis.Redis, run_id: str, queue_name: str) -> str:
    """RQ's records of a job whose worker is in the middle of it; returns the execution's id."""
    queue = Queue(queue_name, connection=rq_client, serializer=JSONSerializer)
    worker = SimpleWorker([queue], connection=rq_client, serializer=JSONSerializer)
    rq_client.lmove(queue.key, queue.intermediate_queue_key, "LEFT", "RIGHT")
    job = fetch(rq_client, run_id)
    with rq_client.pipeline() as pipe:
        execution = Execution.create(job, ttl=90, pipeline=pipe)
        pipe.execute()
    worker.prepare_job_execution(job)
    return str(execution.id)


def test_the_books_of_a_dead_attempt_are_cleared(ledger: Ledger, rq_client: redis.Redis) -> None:
    run = promoted(ledger)
    started(rq_client, run.id, "main-quick-0")
    ledger.begin(run.id, worker_of(queue_of(QUICK)))
    assert len(StartedJobRegistry("main-quick-0", connection=rq_client)) == 1
    assert fetch(rq_client, run.id).get_status() is JobStatus.STARTED
    overdue(rq_client, run.id)
    ledger.reap(leading(ledger))
    assert fetch(rq_client, run.id).get_status() is JobStatus.DEFERRED
    assert len(StartedJobRegistry("main-quick-0", connection=rq_client)) == 0
    assert not [*rq_client.scan_iter("rq:exec*"), *rq_client.scan_iter("rq:*intermediate")]


def test_the_books_of_workers_that_died_after_the_end_are_cleared(ledger: Ledger, rq_client: redis.Redis) -> None:
    live, ended, moved = promoted(ledger), promoted(ledger, number=1), promoted(ledger, number=2)
    for number, run in enumerate((live, ended, moved)):
        started(rq_client, run.id, queue_of(QUICK, number))
        assert ledger.begin(run.id, worker_of(queue_of(QUICK, number))) is not None
    ledger.finish(ended.id, ended.token, Answer("YES"))
    ledger.give_back(moved.id, moved.token, "the worker was stopped")
    for number in (1, 2):
        ledger.withdraw(worker_of(queue_of(QUICK, number)))
    registries = [StartedJobRegistry(queue_of(QUICK, number), connection=rq_client) for number in range(3)]
    assert [rq_client.zcard(registry.key) for registry in registries] == [1, 1, 1]
    assert ledger.sweep() == 2
    assert [rq_client.zcard(registry.key) for registry in registries] == [1, 0, 0]
    assert {key.split(b":")[2] for key in rq_client.scan_iter("rq:execution:*")} == {live.id.encode()}
    assert ledger.sweep() == 0
    ledger.cancel(moved.id)


def test_rq_info_shows_queues_and_runs(ledger: Ledger, server: Server, rq_client: redis.Redis) -> None:
    submitted(ledger, DETAILED)
    promoted(ledger)
    run = promoted(ledger, number=1)
    started(rq_client, run.id, "main-quick-1")
    done = subprocess.run(
        [sys.executable, "-m", "rq.cli", "info", "--raw", "--url", server.url, "-S", "rq.serializers.JSONSerializer"],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(30),
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("queue ")}
    assert lines["main-quick-0"].startswith("queue main-quick-0 1, 0 executing")
    assert lines["main-quick-1"].startswith("queue main-quick-1 0, 1 executing")
    assert "main-detailed" in lines


def test_rq_dashboard_shows_runs_in_their_registries(
    ledger: Ledger, rq_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flask import Flask

    waiting, queued, busy = submitted(ledger, DETAILED), promoted(ledger), promoted(ledger, number=1)
    started(rq_client, busy.id, "main-quick-1")
    app = Flask(__name__)
    app.config["RQ_DASHBOARD_REDIS_URL"] = ("redis",)
    vars(app)["redis_conn"] = rq_client
    import rq_dashboard
    import rq_dashboard.web

    # The dashboard as RQ ships it: reachq's own app puts its connection and its workers into the same module.
    rq_dashboard.web.config.serializer = JSONSerializer
    monkeypatch.setattr(rq_dashboard.web, "from_url", lambda *_address, **_options: (None, rq_client))
    monkeypatch.setattr(rq_dashboard.web, "Worker", Worker)
    app.register_blueprint(rq_dashboard.blueprint)
    web = app.test_client()

    def jobs(queue: str, registry: str) -> list[str]:
        reply: Any = web.get(f"/0/data/jobs/{queue}/{registry}/8/asc/1.json").get_json()
        return [job["id"] for job in reply["jobs"]]

    assert jobs("main-detailed", "deferred") == [waiting.id]
    assert jobs("main-quick-0", "queued") == [queued.id]
    assert jobs("main-quick-1", "started") == [busy.id]
    for run in (waiting, queued, busy):
        assert web.get(f"/0/data/job/{run.id}.json").status_code == 200
