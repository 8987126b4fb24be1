"""A pending run weighs at most one and a half times a plain RQ job with the same arguments."""

from __future__ import annotations

import uuid

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from ledger.store import Ledger
from tests.support.runs import a_request
from tests.support.server import Server

RUNS = 500


def usage(client: redis.Redis, pattern: str) -> float:
    """Bytes of all keys of a pattern, all members counted."""
    names: list[str] = list(client.scan_iter(pattern, count=1000))
    return sum(int(client.memory_usage(name, samples=0) or 0) for name in names)


@pytest.mark.parametrize("services", ["443/tcp,53/udp", "1-100"], ids=["two services", "a hundred services"])
def test_a_pending_run_is_compact(ledger: Ledger, client: redis.Redis, server: Server, services: str) -> None:
    with redis.Redis(unix_socket_path=str(server.socket)) as raw:
        queue = Queue("plain", connection=raw, serializer=JSONSerializer)
        request = a_request(services=services)
        args = (request.source, request.destination, [str(service) for service in request.services])
        for _ in range(RUNS):
            queue.enqueue("workers.jobs.run", *args, job_id=str(uuid.uuid4()))
    plain = usage(client, "rq:*") / RUNS
    client.flushall()
    for _ in range(RUNS):
        ledger.submit(request)
    client.delete("reachq:events")
    ours = (usage(client, "rq:*") + usage(client, "reachq:*")) / RUNS
    assert ours <= 1.5 * plain, f"{ours:.0f} bytes a pending run, {plain:.0f} a plain RQ job"
    print(f"{services}: {ours:.0f} bytes a pending run, {plain:.0f} a plain RQ job: {ours / plain:.2f}")
