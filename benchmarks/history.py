"""A history of answered runs for benchmarks: each went through the ledger's own scripts, from submission to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from ledger.runs.records import Choice
from ledger.runs.requests import RunRequest
from ledger.runs.run import Mode, Run
from ledger.store import Ledger
from netlab.results.codec import decode
from workers.jobs import answer_of

SLOTS = 32
OWNERS = ("anna", "ben", "carla", "dave", "eve")
SERVICES = ("443/tcp", "22,80,443", "53/udp,53/tcp", "8000-8003,icmp")
ROUTERS = ("hq-gw", "dc-gw", "dc-core")
RULE = {
    "family": "ip", "table": "filter", "chain": "to-servers", "chains": ["FORWARD", "to-servers"], "number": 2,
    "text": "-A to-servers -p tcp -m tcp --dport 443 -j DROP", "file": "dc-core/iptables.rules", "line": 31,
    "hook": "forward", "verdict": "DROP", "policy": False,
}  # fmt: skip


def questions() -> Iterator[tuple[RunRequest, str]]:
    """An endless sequence of requests and their owners, with many addresses."""
    number = 0
    while True:
        source = f"10.{1 + number % 3}.{number // 250 % 250}.{1 + number % 250}"
        yield RunRequest.parse(source, "10.3.20.8", SERVICES[number % 4]), OWNERS[number % 5]
        number += 1


def answer(run: Run, verdict: str) -> dict[str, Any]:
    """The result document of a quick run over three routers, with NO on the last."""
    services = [service.model_dump() for service in run.services]

    def cells(result: str) -> list[dict[str, Any]]:
        return [{**service, "result": result, **({"rule": RULE} if result == "NO" else {})} for service in services]

    blocking = ["dc-core"] if verdict == "NO" else []
    return {
        "run_id": run.id, "mode": run.mode, "source": run.source, "destination": run.destination, "source_port": None,
        "dscp": run.dscp, "verdict": verdict, "path": list(ROUTERS), "caveats": [], "reason": None, "facts": "3f2a9c",
        "routers": [
            {"name": name, "hop": hop, "in": "lan0", "out": "wan0", "services": cells(verdict if hop == 3 else "YES")}
            for hop, name in enumerate(ROUTERS, 1)
        ],
        "services": [
            {**service, "result": verdict, "path": list(ROUTERS), "blocked_by": blocking} for service in services
        ],
        "timing_ms": {"total": 0.4},
    }  # fmt: skip


def end(ledger: Ledger, runs: Sequence[Run]) -> list[str]:
    """Let up to SLOTS waiting runs be promoted, begun and answered, the last of a full lot without an answer; ids of the
    answered ones."""
    epoch = ledger.lead("benchmark")
    assert epoch, "another dispatcher leads"
    queues = [f"{ledger.bench}-quick-{number}" for number in range(len(runs))]
    for queue in queues:
        ledger.announce(f"worker of {queue}", queue, Mode.QUICK, 1)
    ledger.promote(epoch, [Choice(run.id, Mode.QUICK, queue) for run, queue in zip(runs, queues, strict=True)])
    done: list[str] = []
    for number, (run, queue) in enumerate(zip(runs, queues, strict=True)):
        begun = ledger.begin(run.id, f"worker of {queue}")
        assert begun, "the run was not promoted"
        if number == SLOTS - 1:
            ledger.fail(begun.id, begun.token, "the bench refused facts")
            continue
        verdict = "NO" if number % 4 == 0 else "YES"
        ledger.finish(begun.id, begun.token, answer_of(decode(json.dumps(answer(begun, verdict)))))
        done.append(run.id)
    return done


def fill(ledger: Ledger, count: int) -> list[str]:
    """End this many runs; ids of the finished ones, oldest first."""
    done: list[str] = []
    asked, lots = questions(), [SLOTS] * (count // SLOTS) + [count % SLOTS]
    for size in lots:
        done += end(ledger, [ledger.submit(request, user=user)[0] for request, user in islice(asked, size)])
    return done
