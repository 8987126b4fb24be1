"""The hosts of detailed runs: how they are added, shared and removed, and that nothing is left, however a run ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from netlab.detailed.run import PHASES
from netlab.live.build import LiveNetwork
from netlab.live.hosts import HostConflict, HostLocation, HostRegistry
from netlab.service.client import BenchClient, BenchError
from netlab.service.status import HostStatus
from netlab.topology.segments import IfaceRef
from tests.bench.conftest import CAMPUS, Bench, parsed, running_bench
from tests.bench.detailed_networks import ways
from tests.bench.isolated import with_network
from tests.bench.small import write_router
from tests.bench.test_detailed import ask
from tests.support.bench_inside import differences, in_use, inside
from tests.support.patience import patience
from tests.support.waiting import wait_until

Start = Callable[[Path], Bench]
_numbers = count(1)
USER, APP = IPv4Address("10.1.10.20"), IPv4Address("10.3.20.8")


def place(network: LiveNetwork, router: str, interface: str, **more: Any) -> HostLocation:
    """A place on the segment of a router's port."""
    port = IfaceRef(router, interface)
    return HostLocation(network.topology.segment_of[port], port, **more)


def at_rest(pid: int) -> Counter[str]:
    """The contents of an idle bench, once the kernel has removed the remains of earlier runs."""
    looks: list[Counter[str] | None] = [None, None]

    def again() -> bool:
        with contextlib.suppress(AssertionError):  # a namespace that went while it was looked at
            looks[:] = [looks[1], inside(pid)]
        return looks[0] is not None and looks[0] == looks[1]

    wait_until(again, 10, "nothing changes in the bench")
    return looks[1] or Counter()


def unchanged(before: Counter[str], pid: int) -> bool:
    """Whether the bench is as before."""
    with contextlib.suppress(AssertionError):
        return not differences(before, inside(pid))
    return False


def test_references_are_counted_by_run() -> None:
    def body(network: LiveNetwork) -> None:
        hosts, users = HostRegistry(network), place(network, "hq-core", "eth1")
        first = hosts.acquire(USER, "a", users)
        assert hosts.acquire(USER, "a", users) is first
        assert hosts.acquire(USER, "b", users) is first
        assert [(host.address, host.place, host.references) for host in hosts] == [
            (USER, "segment 10.1.10.0/24", {"a": 2, "b": 1})
        ]
        hosts.release(USER, "a")
        hosts.release_all("b")
        assert [host.references for host in hosts] == [{"a": 1}]
        hosts.release(USER, "a")
        assert list(hosts) == []
        assert hosts.acquire(USER, "c", users) is not first

    with_network(CAMPUS, body)


def test_conflicts() -> None:
    def body(network: LiveNetwork) -> None:
        hosts, users = HostRegistry(network), place(network, "hq-core", "eth1")
        beyond = place(network, "edge", "eth1", gateway=IPv4Address("203.0.113.1"), beyond=True)

        def why(address: str, where: HostLocation | None = None) -> str | None:
            return hosts.conflicts(IPv4Address(address), where)

        assert why("10.1.10.20", users) is None
        assert why("192.0.2.77", beyond) is None
        assert why("10.1.10.1") == "10.1.10.1 is hq-core:eth1's own address"
        assert why("10.3.20.8", users) == "10.3.20.8 belongs to segment 10.3.20.0/24, not 10.1.10.0/24"
        assert (
            why("10.3.20.8", beyond)
            == "10.3.20.8 belongs to segment 10.3.20.0/24, it cannot be placed beyond edge:eth1"
        )
        assert why("10.1.10.255") == "10.1.10.255 is not a valid host address in segment 10.1.10.0/24"
        for odd in ("0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255"):
            assert why(odd) == f"{odd} is not a valid host address"
        with pytest.raises(HostConflict):
            hosts.acquire(IPv4Address("10.3.20.8"), "a", users)
        with pytest.raises(HostConflict):
            hosts.acquire(IPv4Address("10.3.20.9"), "a", None)
        assert list(hosts) == []

    with_network(CAMPUS, body)


def test_far_hosts_share_the_gateway_they_stand_behind() -> None:
    def body(network: LiveNetwork) -> None:
        hosts = HostRegistry(network)
        gateway = IPv4Address("203.0.113.1")
        beyond = place(network, "edge", "eth1", gateway=gateway, beyond=True)
        near = place(network, "edge", "eth1")
        far = [IPv4Address("192.0.2.77"), IPv4Address("192.0.2.80")]
        found = [hosts.acquire(address, "a", beyond) for address in far] + [hosts.acquire(gateway, "b", near)]
        assert len({host.namespace for host in found}) == 1
        hosts.release_all("a")
        assert [host.address for host in hosts] == [gateway]
        assert hosts.acquire(far[0], "c", beyond).namespace == found[0].namespace  # the address can come back
        hosts.release_all("b")
        hosts.release_all("c")
        assert list(hosts) == []

    with_network(CAMPUS, body)


def test_a_hundred_hosts_come_and_go_and_leave_nothing() -> None:
    def body(network: LiveNetwork) -> None:
        hosts, users = HostRegistry(network), place(network, "hq-core", "eth1")
        links = subprocess.check_output(["ip", "-br", "link"]).count(b"\n")
        descriptors = len(os.listdir("/proc/self/fd"))
        for number in range(100):
            hosts.acquire(USER + number, "a", users)
            if number % 5 == 4:
                hosts.release_all("a")
        assert len(os.listdir("/proc/self/fd")) == descriptors
        wait_until(
            lambda: subprocess.check_output(["ip", "-br", "link"]).count(b"\n") == links, 10, "the wires are gone"
        )

    with_network(CAMPUS, body)


def test_fifty_services_with_five_destinations_behind_one_address(tmp_path: Path, bench_of: Start) -> None:
    forwards = "\n".join(
        f"-A PREROUTING -d 192.0.2.80/32 -p tcp --dport {1000 + n} -j DNAT --to-destination 10.0.2.{10 + n % 5}:{2000 + n}"
        for n in range(50)
    )
    routes = "10.0.2.0/24 via 10.9.0.2 dev up"
    addresses = {"lan": "10.0.1.1/24", "up": "10.9.0.1/30"}
    write_router(tmp_path, "r1", addresses, routes, iptables=f"*nat\n{forwards}\nCOMMIT")
    write_router(tmp_path, "r2", {"up": "10.9.0.2/30", "lan": "10.0.2.1/24"}, "10.0.1.0/24 via 10.9.0.1 dev up")
    bench = bench_of(tmp_path)
    before = at_rest(bench.process.pid)
    for _ in range(2):
        services = ask(bench, "10.0.1.9", "192.0.2.80", ",".join(f"{1000 + n}/tcp" for n in range(50)))["services"]
        assert {service["outcome"] for service in services} == {"CONNECTED"}
        after = [service["hops"][0]["nat"]["after"].split(" → ")[1] for service in services]
        assert after == [f"10.0.2.{10 + n % 5}:{2000 + n}" for n in range(50)]
    wait_until(lambda: unchanged(before, bench.process.pid), 5, "nothing stays")


@pytest.mark.parametrize(
    "odd", "0.0.0.0 127.0.0.1 224.0.0.5 255.255.255.255 10.1.10.255 10.1.10.0 169.254.1.1 240.0.0.1 10.1.10.1".split()
)
def test_odd_addresses_are_refused_or_answered_and_break_nothing(campus: Bench, odd: str) -> None:
    before = at_rest(campus.process.pid)
    for source, destination in ((odd, "10.3.20.8"), ("10.1.10.20", odd), (odd, odd)):
        for services in ("443/tcp", "53/udp", "icmp"):
            answered = ""
            try:
                answered = ask(campus, source, destination, services)["services"][0]["sentence"]
            except BenchError as refused:
                answered = refused.code
            assert answered not in ("", "lost", "unavailable")
    assert ask(campus, "10.1.10.20", "10.3.20.8", "443/tcp")["verdict"] == "YES"
    wait_until(lambda: unchanged(before, campus.process.pid), 5, "nothing stays")


def test_what_cannot_be_asked_leaves_nothing(campus: Bench) -> None:
    before = at_rest(campus.process.pid)
    with pytest.raises(BenchError, match="cannot be sent") as refused:
        ask(campus, "10.1.10.20", "10.3.20.8", "443/tcp,443/tcp")  # both cannot use the same source port
    assert refused.value.code == "bad-request"
    assert in_use(campus.client.status()) == []
    wait_until(lambda: unchanged(before, campus.process.pid), 5, "nothing stays")


def test_status_shows_hosts_and_locks_meanwhile(tmp_path: Path) -> None:
    ways(tmp_path)
    with running_bench(tmp_path) as bench:
        silent = Thread(target=ask, args=(bench, "10.0.1.9", "10.0.1.1", "8444/tcp"))  # waits for its timeout
        silent.start()
        wait_until(lambda: len(bench.client.status().hosts) == 2, 2, "its hosts are there")
        status = bench.client.status()
        assert status.hosts == (
            HostStatus("10.0.1.9", "segment 10.0.1.0/24", {"test": 1}),
            HostStatus("10.0.1.50", "segment 10.0.1.0/24", {"test": 2}),
        )
        assert status.locks == {"r1": "test"}
        assert [attempt.mode for attempt in status.attempts] == ["detailed"]
        silent.join()
        assert in_use(bench.client.status()) == []


class Held:
    """A bench that stops in a chosen phase, until it is told to continue."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "hold"
        address = f"@reachq-hosts-{os.getpid()}-{next(_numbers)}"
        command = [sys.executable, "-m", "tests.support.holding_bench", "--hold", str(self._file)]
        command += ["--network", str(CAMPUS), "--socket", address]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        if not self.process.stdout.readline().startswith("bench ready"):
            pytest.skip("no bench can be built on this machine")
        self.client = BenchClient(address, 10)
        self.fences = count(1)
        self.before = at_rest(self.process.pid)

    def run(self, said: list[str]) -> None:
        """Run one detailed test; its result is appended to `said`."""
        try:
            with self.client.attempt(run_id="r", mode="detailed", lane=None, fence=next(self.fences)) as attempt:
                self.open = attempt
                services = parsed("443/tcp,53/udp,icmp")
                result = attempt.detailed(str(USER), str(APP), services, progress=lambda *step: None)
                said.append(" ".join(service.result for service in result.services))
        except BenchError as bad:
            said.append(bad.code)

    def stopped_in(self, phase: str, said: list[str]) -> Thread:
        """Start a run, and return when the bench has stopped in this phase of it."""
        self._file.write_text(phase)
        thread = Thread(target=self.run, args=(said,))
        thread.start()
        process = psutil.Process(self.process.pid)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 10, f"it stops in {phase}")
        return thread

    def go_on(self) -> None:
        """Continue."""
        self.process.send_signal(signal.SIGCONT)

    def clean(self) -> bool:
        """Whether nothing of any run is left, according to its status and to an outside inspection."""
        return not in_use(self.client.status()) and unchanged(self.before, self.process.pid)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    bench = Held(tmp_path_factory.mktemp("held"))
    yield bench
    bench.go_on()
    bench.process.terminate()
    bench.process.communicate(timeout=patience(10))


@pytest.mark.parametrize("phase", PHASES)
def test_cancelled_in_any_phase_nothing_stays(held: Held, phase: str) -> None:
    output: list[str] = []
    thread = held.stopped_in(phase, output)
    held.open.close()
    thread.join()
    held.go_on()
    wait_until(held.clean, 5, "nothing stays")
    held.run(output)
    assert output == ["lost", "YES NO YES"]


@pytest.mark.parametrize("phase", PHASES)
def test_a_higher_fence_takes_over_in_any_phase(held: Held, phase: str) -> None:
    older: list[str] = []
    newer: list[str] = []
    thread = held.stopped_in(phase, older)
    following = Thread(target=held.run, args=(newer,))
    following.start()
    time.sleep(0.05)  # its request is waiting in the socket
    held.go_on()
    thread.join()
    following.join()
    assert newer == ["YES NO YES"]
    # An attempt whose result was ready before the newer one came in has it; all others were ended.
    assert older == ["lost"] or (older == ["YES NO YES"] and phase in ("collect", "clean")), older
    wait_until(held.clean, 5, "nothing stays")
