"""What a promotion costs with few and with very many runs waiting, and what a waiting run weighs.

    .venv/bin/python -m benchmarks.promotion [--most 1000000]

One promotion round is what the leader does: view, choose, promote 32 runs; each size has a server of its own,
and rounds take turns. `of Redis` is the part the server itself spent. The reference is RQ's own RateLimit,
letting 32 waiting jobs into their queue in one call.
Bytes are those of Redis for one waiting run with one service, beside a plain RQ job with the same arguments.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

from redis import Redis
from rq import Queue
from rq.rate_limit import RateLimit, RateLimitRegistry
from rq.serializers import JSONSerializer

from benchmarks.private_server import connect, private_server
from benchmarks.tables import table
from compat_dispatcher.promoter import Promoter
from ledger.redis import keys
from ledger.redis.connection import Connection
from ledger.redis.scripts import Script
from ledger.runs.records import Answer
from ledger.runs.requests import RunRequest
from ledger.runs.run import Mode
from ledger.settings import Settings, load_settings
from ledger.store import Ledger

REQUEST = RunRequest.parse("10.1.10.20", "10.3.20.8", "443/tcp")
ROUNDS = 60
LOT = 32
WEIGHED = 20_000


class Filling(Connection):
    """Sends scripts without waiting for each reply, so that a million runs are submitted in a minute or two."""

    def __init__(self, url: str) -> None:
        super().__init__(url, read_timeout_s=60)
        self._pipe = self.client.pipeline(transaction=False)

    def run(self, script: Script, given: Any, args: Any, more: tuple[object, ...] = ()) -> list[Any]:
        """Queue the script, and return `created` without waiting."""
        ordered: list[Any] = list(script.order(given, args, more))
        if len(self._pipe):
            self._pipe.evalsha(script.sha, len(given), *ordered)
        else:
            self._pipe.eval(script.source, len(given), *ordered)
        if len(self._pipe) >= 1000:
            self.flush()
        return ["created", 0, 0, 0]

    def flush(self) -> None:
        """Send what is queued."""
        self._pipe.execute()


def fill(settings: Settings, count: int, *, user: str = "api", mode: Mode = Mode.QUICK) -> None:
    """Submit runs until `count` of the user wait."""
    connection = Filling(settings.redis_address)
    ledger = Ledger(connection, settings)
    request = REQUEST.model_copy(update={"mode": mode})
    for _ in range(count - ledger.waiting_of(user)):
        ledger.submit(request, user=user)
    connection.flush()
    connection.close()


def server_us(client: Redis) -> int:
    """Microseconds the server has spent in scripts so far."""
    stats: Any = client.info("commandstats")
    return sum(stats[name]["usec"] for name in ("cmdstat_eval", "cmdstat_evalsha") if name in stats)


def empty_bench(ledger: Ledger, workers: list[tuple[str, str]]) -> None:
    """Let every promoted run end at once and keep the workers alive, outside of what is timed."""
    for run in ledger.view().running:
        queue: Any = ledger.connection.client.hget(keys.run(run.run_id), "queue")
        begun = ledger.begin(run.run_id, f"worker of {queue}")
        assert begun is not None
        assert ledger.finish(begun.id, begun.token, Answer("YES"))
        ledger.connection.client.delete(f"rq:queue:{queue}")
    for queue, name in workers:
        ledger.announce(name, queue, Mode.QUICK, 1)


def settled(client: Redis) -> None:
    """Wait until the server has finished rewriting its append-only file after the filling."""
    info: Any = client.info("persistence")
    while info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]:
        time.sleep(0.1)
        info = client.info("persistence")


class Leader:
    """The leader of one server with this many waiting runs, and the durations of its rounds."""

    def __init__(self, path: str, waiting: int) -> None:
        settings = load_settings(
            redis_url=f"unix://{path}", lease_ms=60_000, leader_ms=30_000, waiting_max=waiting + ROUNDS * LOT
        )
        fill(settings, waiting + ROUNDS * LOT)
        self._client = connect(path)
        settled(self._client)
        self._ledger = Ledger.connect(settings)
        self._promoter = Promoter(self._ledger, settings)
        self._workers = [(f"main-quick-{n}", f"worker of main-quick-{n}") for n in range(LOT)]
        self.waiting = waiting
        self.seconds: list[float] = []
        self.server_us: list[float] = []

    def round(self) -> None:
        """Promote 32 runs onto an empty bench."""
        empty_bench(self._ledger, self._workers)
        epoch = self._ledger.lead("benchmark")
        assert epoch is not None
        before, begun = server_us(self._client), time.perf_counter()
        _, started = self._promoter.step(epoch)
        self.seconds.append(time.perf_counter() - begun)
        self.server_us.append(float(server_us(self._client) - before))
        assert started == LOT


def rate_limit_rounds(path: str, waiting: int) -> list[float]:
    """Seconds that RQ's RateLimit needs to admit 32 more of its waiting jobs, repeatedly."""
    client = connect(path)
    queue = Queue("limited", connection=client, serializer=JSONSerializer)
    for _ in range(waiting):
        queue.enqueue("benchmarks.stand_ins.held", 0, rate_limit=RateLimit("bench", 1))
    registry, seconds = RateLimitRegistry("bench", client), []
    for number in range(1, min(ROUNDS, waiting // LOT)):
        begun = time.perf_counter()
        promoted = registry.acquire_and_enqueue(1 + number * LOT)
        seconds.append(time.perf_counter() - begun)
        assert len(promoted) == LOT
    return seconds


def weigh(client: Redis, settings: Settings) -> tuple[float, float]:
    """Bytes of a waiting run and of a plain RQ job."""

    def used() -> int:
        info: Any = client.info("memory")
        return int(info["used_memory"] - info["mem_aof_buffer"] - info["mem_clients_normal"])

    def grown(add: Callable[[], None]) -> float:
        client.execute_command("FLUSHALL", "SYNC")
        before = used()
        add()
        client.delete(keys.EVENTS)  # has a maximum length, so not a property of one run
        return (used() - before) / WEIGHED

    queue = Queue("plain", connection=client, serializer=JSONSerializer)
    arguments = ("3e25960a-79db-4c9f-97a3-6ead89148717", "10.1.10.20", "10.3.20.8", "443/tcp")

    def enqueue() -> None:
        for _ in range(WEIGHED // 1000):
            queue.enqueue_many([Queue.prepare_data("workers.jobs.run", arguments) for _ in range(1000)])

    run, job = grown(lambda: fill(settings, WEIGHED)), grown(enqueue)
    return run, job


def main() -> None:
    """Measure at each size and print both tables."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--most", type=int, default=1_000_000)
    most = options.parse_args().most
    sizes = [size for size in (1000, 100_000, 1_000_000) if size <= most]
    with private_server() as path:
        limited = rate_limit_rounds(path, 1000)
        run_bytes, job_bytes = weigh(connect(path), load_settings(redis_url=f"unix://{path}"))
    with ExitStack() as servers:
        leaders = [Leader(servers.enter_context(private_server()), size) for size in sizes]
        for _ in range(ROUNDS):
            for leader in leaders:
                leader.round()
    first = median(leaders[0].seconds)
    rows = [
        ["RQ RateLimit, 1000 waiting", f"{median(limited) / LOT * 1e6:.1f}", "", f"{LOT / median(limited):.0f}", ""]
    ]
    for leader in leaders:
        each = median(leader.seconds)
        cells = [f"{each / LOT * 1e6:.1f}", f"{median(leader.server_us) / LOT:.1f}"]
        rows.append([f"reachq, {leader.waiting} waiting", *cells, f"{LOT / each:.0f}", f"{each / first:.2f}x"])
    print(table(f"Promotion, {ROUNDS} rounds of {LOT}", ["", "µs each", "of Redis", "per s", "to 1000"], rows))
    weights = [
        ["plain RQ job", f"{job_bytes:.0f}", "1.00x"],
        ["waiting run", f"{run_bytes:.0f}", f"{run_bytes / job_bytes:.2f}x"],
    ]
    print(table("Bytes in Redis", ["", "bytes", "to RQ"], weights))


if __name__ == "__main__":
    main()
