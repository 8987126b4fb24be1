"""The namespaces kept ready for hosts: after any run the next one finds them clean, and there are never more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
from ipaddress import IPv4Address

from netlab.kernel import namespaces
from netlab.live.build import LiveNetwork
from netlab.live.host_pool import READY
from netlab.live.hosts import HostConflict, HostLocation, HostRegistry
from netlab.quick.flow import Question
from netlab.service.attempts import ALONE, ActiveAttempt
from netlab.service.executor import Executor
from netlab.topology.segments import IfaceRef
from tests.bench.conftest import CAMPUS
from tests.bench.isolated import with_network
from tests.support.bench_inside import network_namespaces
from tests.support.waiting import wait_until

LOOK = r"""
ip -o link | sed -E 's/link\/ether [0-9a-f:]*//'
ip -o addr; ip rule; ip route show table all; ip route show cache; ip neigh show nud all | grep -v NOARP
ip tcp_metrics; ss -Hantuwp; cat /proc/net/nf_conntrack; ls /proc/net/netfilter; nft list ruleset; ip nexthop
cd /proc/sys/net && grep -r . ipv4 core 2>/dev/null
"""
SERVICES = ((443, "tcp"), (22, "tcp"), (25, "tcp"), (53, "udp"), (None, "icmp"))
WAYS = [
    ("10.1.10.20", "10.3.20.8"),
    ("10.1.99.10", "10.2.10.9"),
    ("10.2.20.7", "10.3.20.8"),  # its reply is dropped
    ("10.1.10.20", "8.8.8.8"),  # a far host, behind a gateway
    ("198.51.100.7", "192.0.2.80"),
    ("10.1.10.20", "10.1.10.21"),  # neighbours: no router has a say
    ("10.1.10.20", "10.1.10.1"),  # a router's own
]


def look(namespace: int) -> list[str]:
    """Everything in a namespace that could show an earlier run."""
    found = subprocess.run(
        ["nsenter", f"--net=/proc/{os.getpid()}/fd/{namespace}", "sh", "-c", LOOK], capture_output=True, text=True
    )
    return re.sub(r"packets \d+ bytes \d+", "", found.stdout).splitlines()


def looks(network: LiveNetwork) -> list[list[str]]:
    """The same for each ready namespace."""
    return [look(namespace) for namespace in sorted(space.namespace for space in network.spaces.ready())]


def differences(before: list[list[str]], after: list[list[str]]) -> list[str]:
    """Lines that were added or removed, of namespaces in the same order."""
    return [line for old, new in zip(before, after, strict=True) for line in set(old) ^ set(new)]


def question(number: int) -> Question:
    """The next path, with every kind of service."""
    source, destination = map(IPv4Address, WAYS[number % len(WAYS)])
    return Question(source, destination, SERVICES, 50_000 + number % 7, 32, rules=False)


async def run(executor: Executor, number: int) -> None:
    """One detailed run."""
    attempt = ActiveAttempt(f"run-{number}", "detailed", ALONE, number + 1, 0, lambda: None)
    await executor.ask_detailed(question(number), attempt, lambda *step: None)


async def cancelled(executor: Executor, number: int) -> None:
    """One detailed run that ends after a few of its steps."""
    task = asyncio.ensure_future(run(executor, number))
    for _ in range(number % 9):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_a_space_that_was_used_is_as_new() -> None:
    def body(network: LiveNetwork) -> None:
        new, routers = looks(network), [look(router.namespace) for router in network.routers.values()]
        assert len(new) == READY
        assert any("eth0" in line and "state UP" in line for line in new[0])
        executor = Executor(network)
        for number in range(len(WAYS)):
            asyncio.run(run(executor, number))
            assert not differences(new, looks(network)), WAYS[number]
            asyncio.run(cancelled(executor, number))
            assert not differences(new, looks(network)), WAYS[number]
        assert not differences(routers, [look(router.namespace) for router in network.routers.values()])

    with_network(CAMPUS, body)


def test_what_a_host_is_made_of_would_be_seen() -> None:
    def body(network: LiveNetwork) -> None:
        hosts, port = HostRegistry(network), IfaceRef("hq-core", "eth1")
        new = looks(network)
        host = hosts.acquire(IPv4Address("10.1.10.20"), "a", HostLocation(network.topology.segment_of[port], port))
        with namespaces.entered(host.namespace):
            subprocess.run(
                ["ip", "neigh", "add", "10.1.10.9", "lladdr", "02:00:00:00:00:09", "dev", "eth0"], check=True
            )
        found = "\n".join(look(host.namespace))
        assert all(s in found for s in ("10.1.10.20/24", "default via 10.1.10.1", "10.1.10.9 dev eth0"))
        hosts.release_all("a")
        assert not differences(new, looks(network))

    with_network(CAMPUS, body)


def test_a_host_the_kernel_refuses_leaves_its_space_ready() -> None:
    def body(network: LiveNetwork) -> None:
        hosts, port = HostRegistry(network), IfaceRef("edge", "eth1")
        beyond = HostLocation(network.topology.segment_of[port], port, IPv4Address("203.0.113.1"), beyond=True)
        ready = looks(network)
        for odd in ("0.0.0.9", "240.0.0.1", "169.254.1.1"):
            with contextlib.suppress(HostConflict):
                hosts.acquire(IPv4Address(odd), "a", beyond)
            hosts.release_all("a")
            assert not differences(ready, looks(network)), odd

    with_network(CAMPUS, body)


def test_hundreds_of_runs_leave_no_namespace_wire_or_descriptor() -> None:
    def body(network: LiveNetwork) -> None:
        executor = Executor(network)
        for number in range(len(WAYS)):  # sockets that are opened once and kept
            asyncio.run(run(executor, number))

        def held() -> tuple[int, int, int]:
            wires = subprocess.check_output(["ip", "-br", "link"]).count(b"\n")
            return len(network_namespaces(os.getpid())), wires, len(os.listdir("/proc/self/fd"))

        before = held()
        for number in range(300):
            asyncio.run((cancelled if number % 3 == 2 else run)(executor, number))

        def no_more() -> bool:  # fewer are possible: the first runs may have left something that was still being closed
            return all(now <= then for now, then in zip(held(), before, strict=True))

        wait_until(no_more, 10, f"no more than before: {before}")

    with_network(CAMPUS, body)
