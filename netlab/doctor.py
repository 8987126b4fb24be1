"""`--doctor`: checks whether this machine can run the bench. It prints one line per check, and a remedy for a failure."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

from netlab.errors import MachineError, NetlabError
from netlab.facts import reader
from netlab.kernel import namespaces
from netlab.kernel.confined import Tools
from netlab.live.build import LiveNetwork, build
from netlab.live.load import load_text, restore_tool, tool
from netlab.quick.flow import Question
from netlab.quick.walk import Walker
from netlab.results.document import UNKNOWN


def examine(folder: Path) -> int:
    """Run the checks in order and stop at the first failure. Return the exit code."""
    built: list[reader.NetworkFacts | LiveNetwork] = []

    def load() -> str:
        facts = reader.load(folder)
        built.append(facts)
        return f"{len(facts.routers)} routers, facts {facts.digest}"

    def raise_bench() -> str:
        started = time.monotonic()
        assert isinstance(built[0], reader.NetworkFacts)
        built.append(build(built[0]))
        return f"built in {(time.monotonic() - started) * 1e3:.0f} ms"

    def send_probe() -> str:
        assert isinstance(built[1], LiveNetwork)
        return _probe(built[1])

    checks: list[tuple[str, Callable[[], str]]] = [
        ("kernel", platform.release),
        ("network namespaces", _isolate),  # before the tools, because ipset needs rights even to print its version
        ("confined tools", _confine),
        ("ip (iproute2)", lambda: _version(tool("ip"), "-V")),
        ("nft (nftables)", lambda: _version(tool("nft"), "--version")),
        ("iptables-restore (iptables)", lambda: _version(restore_tool(), "--version")),
        ("ipset", lambda: _version(tool("ipset"), "--version")),
        ("the iptables match u32, for rules that count packets", _u32),
        (f"facts in {folder}", load),
        ("bench", raise_bench),
        ("a probe's path through the kernel", send_probe),
    ]
    for name, check in checks:
        try:
            print(f"ok      {name}: {check()}", flush=True)
        except (NetlabError, OSError, subprocess.SubprocessError) as bad:
            print(f"FAILED  {name}: {bad}", flush=True)
            return 1
    return 0


def _isolate() -> str:
    namespaces.isolate()
    return "can be created"


def _confine() -> str:
    with Tools() as tools:
        done = tools.run([tool("ip"), "-V"], "")
    if done.code != 0:
        raise MachineError(f"a confined tool cannot be started: {done.output.strip() or done.code}")
    return "can be run"


def _u32() -> str:
    rule = '*filter\n-A FORWARD -m u32 --u32 "0>>22&0x3C@8&0xFF=0x1" -j ACCEPT\nCOMMIT\n'
    with Tools() as tools:
        problems = load_text(tools, "iptables.rules", rule, "rule", None)
    if problems:
        raise MachineError(f"the kernel module xt_u32 is missing: {problems[0].message}")
    return "can be used"


def _version(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.split("\n")[0]


def _probe(network: LiveNetwork) -> str:
    """Send one probe into the first router interface that is up, to an address of the router."""
    for port in sorted(network.topology.segment_of):
        interface = network.topology.interface(port)
        if interface.up and interface.addresses:
            address = interface.addresses[0]
            source = next(h for h in address.network.hosts() if h != address.local)
            question = Question(IPv4Address(source), address.local, ((None, "icmp"),), 50000, 32)
            walker = Walker(network)
            started = time.perf_counter()
            ((_, (flow,)),) = walker.walk([question])
            took = (time.perf_counter() - started) * 1e3
            walker.forget()
            if flow.result == UNKNOWN:
                raise NetlabError(f"a probe into {port} was not seen by the kernel: {flow.notes}")
            return f"seen at {port} after {took:.2f} ms"
    raise NetlabError("no router has an interface that is up and has an address")
