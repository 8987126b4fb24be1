"""Run as a program: a probe that dc-gw handles late; prints the verdict. What a machine does whose CPUs are all taken.

python -m tests.bench.late_probe CAMPUS reading    it is handled while the router's sets are being read
python -m tests.bench.late_probe CAMPUS between    it has entered the router when they are read, and leaves afterwards
    python -m tests.bench.late_probe CAMPUS never      it does not come, as when a queue of the kernel was full
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

from netlab.facts import reader
from netlab.kernel import namespaces
from netlab.live.build import LiveRouter, build
from netlab.quick import observe
from netlab.quick.flow import Question
from netlab.quick.walk import Walker

Read = Callable[[LiveRouter], dict[bytes, observe.Observation]]


def while_read(walker: Walker) -> None:
    """Delay one probe into dc-gw until its first set has been read."""
    injector, read = walker._prober.injector, observe.finished
    send, delayed = injector.send, list[tuple[str, str, bytes]]()

    def slow_send(router: str, in_iface: str, ip: bytes | bytearray) -> None:
        if router == "dc-gw" and not delayed:
            delayed.append((router, in_iface, bytes(ip)))
        else:
            send(router, in_iface, ip)

    def then_comes(router: LiveRouter) -> dict[bytes, observe.Observation]:
        seen = read(router)
        if delayed and router.name == "dc-gw":
            send(*delayed[0])
        return seen

    injector.send = slow_send  # type: ignore[method-assign]
    observe.finished = then_comes


def between(walker: Walker) -> None:
    """Show that the first probe through dc-gw came in, but not that it left."""
    later = nothing_yet(observe.finished), nothing_yet(observe.late)
    observe.finished, observe.late = later  # type: ignore[assignment]


def nothing_yet(read: Read) -> Read:
    """Read nothing the first time."""
    first = list[str]()

    def read_later(router: LiveRouter) -> dict[bytes, observe.Observation]:
        seen = read(router)
        if router.name == "dc-gw" and not first:
            first.append(router.name)
            return {}
        return seen

    return read_later


def never(walker: Walker) -> None:
    """Lose the first probe into dc-gw."""
    injector, lost = walker._prober.injector, list[str]()
    send = injector.send

    def lossy(router: str, in_iface: str, ip: bytes | bytearray) -> None:
        if router == "dc-gw" and not lost:
            lost.append(router)
        else:
            send(router, in_iface, ip)

    injector.send = lossy  # type: ignore[method-assign]


def main(campus: Path, when: str) -> None:
    """Run one test whose result is YES."""
    namespaces.isolate()
    walker = Walker(build(reader.load(campus)))
    {"reading": while_read, "between": between, "never": never}[when](walker)
    question = Question(IPv4Address("10.1.10.20"), IPv4Address("10.3.20.8"), ((443, "tcp"),), 50_000, 32)
    ((_, (flow,)),) = walker.walk([question])
    print(flow.result, *(f"{step.router}={step.result}" for step in flow.steps))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
