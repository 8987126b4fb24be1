"""Real benches for the tests: `python -m netlab` processes, one for campus, one for each small network a test builds."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.answers.sentences import published
from netlab.results.codec import decode, encode
from netlab.results.document import Result
from netlab.service.client import BenchClient
from tests.support.patience import patience

CAMPUS = Path(__file__).parents[2] / "networks" / "campus"
_numbers = count(1)


def parse(service: str) -> dict[str, Any]:
    """`443/tcp`, `53/udp` or `icmp` as a request carries it."""
    port, _, protocol = service.partition("/")
    return {"port": int(port), "protocol": protocol} if protocol else {"port": None, "protocol": port}


def parsed(services: str) -> list[tuple[int | None, str]]:
    """`443/tcp,icmp` as the client takes them."""
    return [(one["port"], one["protocol"]) for one in map(parse, services.split(","))]


def as_json(result: Result) -> dict[str, Any]:
    """The result document as the API publishes it."""
    document: dict[str, Any] = json.loads(encode(published(result)))
    services = [
        {
            **service,
            "ended": None,
            "reason": (service["reason"] or "").replace("is not a host address", "is no host") or None,
        }
        for service in document["services"]
    ]  # with the words of version 0, from which the end of a run is computed
    older = {**document, "schema": 0, "services": services}
    for service, upgraded in zip(result.services, decode(json.dumps(older)).services, strict=True):
        by_chance = "depends on" in (service.reason or "")  # which older results never were
        assert by_chance or upgraded.ended == service.ended, "an older document is read as this one"
    return document


@dataclass
class Bench:
    """A running bench and its client; every request uses a new fence."""

    client: BenchClient
    process: subprocess.Popen[str]
    fences: Iterator[int] = field(default_factory=lambda: count(1))

    def quick(
        self, source: str, destination: str, services: str, *, source_port: int | None = None, lane: int = 32
    ) -> dict[str, Any]:
        """The result of one quick run; `services` separated by commas."""
        with self.client.attempt(run_id="test", mode="quick", lane=lane, fence=next(self.fences)) as attempt:
            return as_json(attempt.quick(source, destination, parsed(services), source_port=source_port))

    def detailed(
        self, source: str, destination: str, services: str, *, source_port: int | None = None
    ) -> dict[str, Any]:
        """The result of one detailed run."""
        with self.client.attempt(run_id="test", mode="detailed", lane=None, fence=next(self.fences)) as attempt:
            result = attempt.detailed(
                source,
                destination,
                parsed(services),
                source_port=source_port,
                progress=lambda phase, percent, message: None,
            )
            return as_json(result)


@contextlib.contextmanager
def running_bench(network: Path) -> Iterator[Bench]:
    """Start a bench on `network`, wait until it is ready, and end it."""
    address = f"@reachq-test-{os.getpid()}-{next(_numbers)}"
    command = [sys.executable, "-m", "netlab", "--network", str(network), "--socket", address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        if not line.startswith("bench ready"):
            output = process.stderr.read()
            if "cannot make a network namespace" in output and not os.environ.get("CI"):
                pytest.skip(output)
            raise AssertionError(f"the bench did not come up: {output}")
        yield Bench(BenchClient(address, 10), process)
    finally:
        process.terminate()
        process.communicate(timeout=patience(10))


@pytest.fixture(scope="session")
def campus() -> Iterator[Bench]:
    """The sample network; shared, since no run changes anything for the next."""
    with running_bench(CAMPUS) as bench:
        yield bench


@pytest.fixture
def bench_of() -> Iterator[Callable[[Path], Bench]]:
    """Start a bench on a network that a test has written."""
    with contextlib.ExitStack() as stack:
        yield lambda network: stack.enter_context(running_bench(network))
