"""The quick test: the bench's part over six routers, then the same through the whole system with 32 workers.

    .venv/bin/python -m benchmarks.quick_test [--rounds 200]

Reference of the bench's part: the same frames sent into the same interfaces with nothing decided or read, the least the
kernel itself takes. Reference of 32 at once: the same 32 one after the other. Reference of the whole system: the same 32
questions put to the bench directly.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median

from benchmarks.running_system import running_system, submit_and_wait
from benchmarks.tables import ms, ratio, table
from ledger.runs.requests import RunRequest
from ledger.store import Ledger
from netlab.facts import reader
from netlab.kernel import namespaces
from netlab.kernel.packet_filter import RouterTables
from netlab.live.build import build
from netlab.packets.probe import Packet, ethernet_header, ip_packet
from netlab.quick.answer import answer
from netlab.quick.flow import Question
from netlab.quick.walk import Walker
from netlab.rules.caveats import Caveats
from netlab.topology.segments import IfaceRef
from tests.bench.conftest import Bench, running_bench

CAMPUS = Path("networks/campus")
A, B = "10.1.10.20", "10.3.20.8"
LIMITS_MS = {1: 1, 10: 2, 100: 6}
LANES = 32


def timed(work: Callable[[], object]) -> float:
    """Seconds one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def question(services: int, lane: int, *, rules: bool = False) -> Question:
    """A request for `services` tcp ports, of which campus accepts two and drops the others in two routers each."""
    ports = tuple((port, "tcp") for port in [443, 80, *range(1000, 1100)][:services])
    return Question(IPv4Address(A), IPv4Address(B), ports, 50_000 + lane, lane, rules)


def bench_part(rounds: int) -> None:
    """Measure the bench's part, in a child that leaves the machine's network."""
    namespaces.isolate()
    facts = reader.load(CAMPUS)
    network = build(facts)
    walker, caveats = Walker(network), Caveats(facts)

    def ask(questions: list[Question]) -> None:
        for asked, (_, flows) in zip(questions, walker.walk(questions), strict=True):
            answer(asked, flows, caveats, facts.digest)

    def only_send(asked: Question) -> Callable[[], None]:
        ((_, flows),) = walker.walk([asked])
        frames = []
        for flow in flows:
            for step in flow.steps:
                mac = network.routers[step.router].ports[step.in_iface].mac
                packet = Packet.make("tcp", asked.source, asked.destination, asked.source_port, flow.service[0])
                send = network.injector(IfaceRef(step.router, step.in_iface)).send
                frames.append((send, ethernet_header(mac) + ip_packet(packet, 0x717FFF00, asked.dscp)))

        def work() -> None:
            for send, frame in frames:
                send(frame)

        return work

    rows = []
    for services, limit, rules in [*((count, most, False) for count, most in LIMITS_MS.items()), (12, 10, True)]:
        asked = question(services, 32, rules=rules)
        send = only_send(asked)
        samples: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            samples[0].append(timed(lambda: ask([asked])))  # noqa: B023
            walker.forget()
            samples[1].append(timed(send))
            for router in network.routers.values():
                flush(router.sets)
        named = f"{services} services" + (", rules of the 10 NO" if rules else "")
        rows.append([named, *ms(samples[0]), *ms(samples[1]), ratio(*samples), f"<= {limit}"])
    for rules in (False, True):
        batch = [question(10, 32 + lane, rules=rules) for lane in range(LANES)]
        together, apart = [], []
        for _ in range(max(10, rounds // 10)):
            together.append(timed(lambda: ask(batch)))  # noqa: B023
            walker.forget()
            total = 0.0
            for one in batch:
                total += timed(lambda: ask([one]))  # noqa: B023
                walker.forget()
            apart.append(total)
        named = "32 at once, 10 services" + (", with rules" if rules else "")
        rows.append([named, *ms(together), *ms(apart), ratio(together, apart), "" if rules else "<= 30"])
    columns = ["bench part, 6 routers (ms)", "median", "p90", "reference", "p90", "ratio", "limit"]
    print(table("Quick test on the bench; reference: frames only sent, or the 32 one by one", columns, rows))


def flush(sets: RouterTables) -> None:
    """Remove what the frames of the reference left in a router."""
    sets.flush(("entered", "routable", "forwarded", "left"))


def whole_system(rounds: int) -> None:
    """Measure 32 runs submitted at once to a running system, and the same 32 sent directly to a bench."""
    request = RunRequest.parse(A, B, "443,80,1000-1007")
    with running_system() as ledger, running_bench(CAMPUS) as bench:  # a separate bench, because fences only grow
        rows = [_one(ledger, bench, request, count, rounds) for count in (1, LANES)]
    columns = ["whole system (ms)", "submit→all finished", "p90", "bench alone", "p90", "per run"]
    print(table("Through submit, dispatcher, RQ, 32 workers and bench; 10 services each", columns, rows))


def _one(ledger: Ledger, bench: Bench, request: RunRequest, count: int, rounds: int) -> list[str]:
    through, direct = [], []
    services = ",".join(map(str, request.services))

    def ask_bench() -> None:
        for _ in range(count):
            bench.quick(request.source, request.destination, services)

    for _ in range(max(5, rounds // 10)):
        through.append(timed(lambda: submit_and_wait(ledger, request, count)))
        direct.append(timed(ask_bench))
    return [f"{count} at once", *ms(through), *ms(direct), f"{median(through) / count * 1e3:.2f}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--bench-part", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bench_part:
        bench_part(options.rounds)
    else:
        again = [sys.executable, "-m", "benchmarks.quick_test", "--bench-part", "--rounds", str(options.rounds)]
        subprocess.run(again, check=True)
        whole_system(options.rounds)
