"""Run as a program: a probe that the kernel takes up only while its router's sets are being read; prints the verdict.

It stands for what a machine does whose CPUs are all taken: the network's backlog is worked off late.
"""

from __future__ import annotations

import sys
from ipaddress import IPv4Address
from pathlib import Path

from netlab import facts, namespaces, observe
from netlab.build import LiveRouter, build
from netlab.flow import Question
from netlab.walk import Walker


def main(campus: Path) -> None:
    """Hold one probe into dc-gw back until its first set has been read."""
    namespaces.isolate()
    walker = Walker(build(facts.load(campus)))
    injector, read = walker._carrier.injector, observe.finished
    send, held = injector.send, list[tuple[str, str, bytes]]()

    def slow_send(router: str, inward: str, ip: bytes) -> None:
        if router == "dc-gw" and not held:
            held.append((router, inward, bytes(ip)))
        else:
            send(router, inward, ip)

    def then_comes(router: LiveRouter) -> dict[bytes, observe.Sight]:
        seen = read(router)
        if held and router.name == "dc-gw":
            send(*held[0])
        return seen

    injector.send = slow_send  # type: ignore[method-assign]
    observe.finished = then_comes
    question = Question(IPv4Address("10.1.10.20"), IPv4Address("10.3.20.8"), ((443, "tcp"),), 50_000, 32)
    ((_, (flow,)),) = walker.walk([question])
    print(flow.result, *(f"{step.router}={step.result}" for step in flow.steps))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
