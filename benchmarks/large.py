"""Large inputs: rules, routes, set entries, routers and interfaces by the thousand; seconds and peak memory.

    .venv/bin/python -m benchmarks.large [--rounds 1] [--before FOLDER] [ROW …]

A row is `python -m netlab --check` on generated facts, from its start to its end; the rows of kube-proxy start a bench
and put quick questions to it. Peak memory is the largest resident set of that process, and of the largest of its tools.

Reference, in the same run: the tool that the router's own administrator would use, on the same file in an empty
namespace (`iptables-restore`, `ipset restore`, `ip -batch`). With --before, the same rows with the code in another
working tree, in the same run.

What remains, as processor time on two cores of 2026 (the seconds of the table are close to it only on an idle machine):
- kube-5000, about 3 s: 1.0 s is `iptables-nft-restore` alone, 0.4 s reading, 0.5 s parsing, 0.6 s finding caveats.
- entries-1000000, about 3 s: 0.6 s is the kernel's own work on the set; the rest reads, checks and hashes 24 MB of text.
- routers-100, about 1.0 s: 0.25 s is the start of Python, 0.2 s `iptables-nft-restore`, which runs beside the rest.
- routers-1000, about 9 s: half of it is the kernel's, which creates 1,000 namespaces, 2,000 veth pairs and 1,000 bridges.
  It does so one at a time, under one lock, and each namespace takes longer than the one before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.tables import table
from netlab.kernel import namespaces
from netlab.service.client import BenchClient
from tests.bench.conftest import parsed
from tests.bench.small import write_router

HERE = Path(__file__).resolve()
LAN, WAN = "10.0.1.1/24", "10.0.2.1/24"
SOURCE, SERVICE = "10.0.1.10", "10.96.0.7"
QUESTIONS = 40
FREEING_S = 180


def write_rules(folder: Path, rules: int) -> None:
    """One router with `rules` rules in the chain FORWARD."""
    lines = "\n".join(
        f"-A FORWARD -s 10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32 -p tcp -m tcp --dport {1 + n % 65535} -j DROP"
        for n in range(rules)
    )
    write_router(folder, "gw", {"lan": LAN, "wan": WAN}, iptables=f"*filter\n:FORWARD ACCEPT [0:0]\n{lines}\nCOMMIT\n")


def write_services(folder: Path, services: int) -> None:
    """A node of Kubernetes with the rules of kube-proxy: two endpoints a service, eight rules."""
    chains, first, rest = [], [], []
    for n in range(services):
        service, address = f"KUBE-SVC-{n:016X}", f"10.96.{n >> 8}.{n & 255}/32"
        what = f'-m comment --comment "default/web-{n}:http'
        to = f'-d {address} -p tcp {what} cluster IP" -m tcp --dport 80'
        first.append(f"-A KUBE-SERVICES {to} -j {service}")
        rest.append(f"-A {service} ! -s 10.244.0.0/16 {to} -j KUBE-MARK-MASQ")
        chains.append(service)
        for end in range(2):
            endpoint, pod = f"KUBE-SEP-{n * 2 + end:016X}", f"10.244.{n >> 7}.{(n & 127) * 2 + end}"
            chance = "" if end else " -m statistic --mode random --probability 0.50000000000"
            chains.append(endpoint)
            rest.append(f'-A {service} {what} -> {pod}:8080"{chance} -j {endpoint}')
            rest.append(f'-A {endpoint} -s {pod}/32 {what}" -j KUBE-MARK-MASQ')
            rest.append(f'-A {endpoint} -p tcp {what}" -m tcp -j DNAT --to-destination {pod}:8080')
    built_in = [f":{chain} ACCEPT [0:0]" for chain in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")]
    own = [f":{chain} - [0:0]" for chain in ("KUBE-SERVICES", "KUBE-MARK-MASQ", *chains)]
    rules = [
        '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
    ]
    text = "\n".join(["*nat", *built_in, *own, *rules, *first, *rest, "COMMIT", ""])
    links = {"lan": LAN, "wan": WAN, "pods": "10.244.0.1/16"}
    write_router(folder, "node", links, "10.96.0.0/12 via 10.0.2.2 dev wan", iptables=text)


def write_routes(folder: Path, routes: int) -> None:
    """One router with a full table of the internet: `routes` routes by one provider, on one line as `ip -j` prints it."""
    write_router(folder, "gw", {"lan": LAN, "wan": WAN})
    path = folder / "gw" / "routes.json"
    connected = json.loads(path.read_text())
    more = (
        {"dst": f"{(n >> 16) + 16}.{n >> 8 & 255}.{n & 255}.0/24", "gateway": "10.0.2.2", "dev": "wan", "flags": []}
        for n in range(routes)
    )
    path.write_text(json.dumps([*connected, *more], separators=(",", ":")) + "\n")


def write_entries(folder: Path, entries: int) -> None:
    """One router with a set of `entries` addresses, and a rule that uses it."""
    lines = [f"create black hash:ip family inet hashsize 262144 maxelem {entries}"]
    lines += [f"add black {(n >> 16) + 16}.{n >> 8 & 255}.{n & 255}.1" for n in range(entries)]
    drop = ":FORWARD ACCEPT [0:0]\n-A FORWARD -m set --match-set black src -j DROP"
    write_router(folder, "gw", {"lan": LAN, "wan": WAN}, filter_=drop, ipset="\n".join(lines))


def write_routers(folder: Path, routers: int) -> None:
    """A hub with `routers` - 1 branches, each with a LAN and 35 rules."""
    rules = "\n".join(f"-A FORWARD -s 172.16.{n}.0/24 -p tcp --dport {1000 + n} -j DROP" for n in range(35))
    hub, routes = {"wan": "192.0.2.1/24"}, []
    for n in range(1, routers):
        far, near = f"10.{128 + (n >> 8)}.{n & 255}.2", f"10.{128 + (n >> 8)}.{n & 255}.1"
        lan = f"10.{n >> 8}.{n & 255}"
        hub[f"b{n}"] = f"{near}/30"
        routes.append(f"{lan}.0/24 via {far} dev b{n}")
        links = {"lan": f"{lan}.1/24", "up": f"{far}/30"}
        write_router(folder, f"branch{n}", links, f"default via {near} dev up", filter_=rules)
    write_router(folder, "hub", hub, "\n".join(routes), filter_=rules)


def write_interfaces(folder: Path, interfaces: int) -> None:
    """One router with `interfaces` interfaces, as a concentrator with VLANs has."""
    write_router(folder, "gw", {f"v{n}": f"10.{n >> 8}.{n & 255}.1/24" for n in range(interfaces)})


@dataclass(frozen=True)
class Row:
    """One input: what writes it, the limits in seconds and MiB, and the file and command of the reference."""

    write: Callable[[Path, int], None]
    count: int
    limit_s: float
    limit_mib: int = 0
    plain: Sequence[str] = ()
    """A file of the router `gw` or `node`, and the command that loads it."""
    question_ms: float = 0
    """Limit for a quick question; 0: only loaded."""
    after_another: bool = False
    """Whether it is measured right after the same network was taken down."""


RESTORE = ("iptables.rules", "iptables-nft-restore")
ROWS = {
    "rules-50000": Row(write_rules, 50_000, 8, plain=RESTORE),
    "rules-100000": Row(write_rules, 100_000, 16, plain=RESTORE),
    "kube-5000": Row(write_services, 5_000, 5, plain=RESTORE, question_ms=10),
    "routes-900000": Row(write_routes, 900_000, 40, 1536, plain=("routes.json", "ip")),
    "entries-1000000": Row(write_entries, 1_000_000, 5, plain=("ipset.rules", "ipset", "restore")),
    "routers-100": Row(write_routers, 100, 1),
    "routers-1000": Row(write_routers, 1_000, 15),
    "interfaces-2000": Row(write_interfaces, 2_000, 6, after_another=True),
}


@dataclass(frozen=True)
class Taken:
    """What one run took; MiB of the process and of its largest tool."""

    seconds: float
    own_mib: int
    tool_mib: int
    question_ms: float = 0


@contextmanager
def started(tree: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m netlab` of a working tree, in benchmarks/peak_memory.py."""
    command = [sys.executable, "-P", str(HERE.with_name("peak_memory.py")), *arguments]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def peaks(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Wait for the end; returns the peak memory, and raises RuntimeError when it failed."""
    output = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(output[-2000:])
    own, tool = json.loads(output.strip().splitlines()[-1])
    return own, tool


def kernel_namespaces() -> int:
    """Network namespaces that the kernel holds, with those that have ended and that it has not freed yet."""
    slabs = Path("/proc/slabinfo").read_text().splitlines()
    return sum(int(line.split()[1]) for line in slabs if line.startswith("net_namespace"))


@contextmanager
def namespaces_freed() -> Iterator[None]:
    """Wait at the end until the kernel has freed the namespaces: it works under the lock that the next run needs."""
    before, last = kernel_namespaces(), time.monotonic() + FREEING_S
    try:
        yield
    finally:
        while kernel_namespaces() > before and time.monotonic() < last:
            time.sleep(0.1)


def check(tree: Path, network: Path) -> Taken:
    """`python -m netlab --check`."""
    begun = time.perf_counter()
    with started(tree, "--check", str(network)) as process:
        own, tool = peaks(process)
    return Taken(time.perf_counter() - begun, own, tool)


def ask(tree: Path, network: Path) -> Taken:
    """Start a bench until it is ready, and put questions for one service of Kubernetes to it."""
    address = f"@reachq-large-{os.getpid()}-{time.monotonic_ns()}"
    begun = time.perf_counter()
    with started(tree, "--network", str(network), "--socket", address) as process:
        assert process.stdout
        ready = process.stdout.readline().startswith("bench ready")
        up = time.perf_counter() - begun
        samples = []
        if ready:
            client, services = BenchClient(address, 30), parsed("80/tcp")
            for fence in range(1, QUESTIONS + 1):
                with client.attempt(run_id="large", mode="quick", lane=32, fence=fence) as attempt:
                    begun = time.perf_counter()
                    attempt.quick(SOURCE, SERVICE, services)
                    samples.append(time.perf_counter() - begun)
            process.terminate()
        own, tool = peaks(process)
    return Taken(up, own, tool, median(samples) * 1e3)


def plainly(network: Path, row: Row) -> float:
    """Seconds of the tool alone."""
    file, *command = row.plain
    (router,) = network.iterdir()
    text = (router / file).read_text()
    if command == ["ip"]:
        command = ["ip", "-force", "-batch", "-"]
        routes = json.loads(text)
        links = f"link add wan up type bridge\naddr add {WAN} dev wan\n"
        text = links + "".join(f"route add {r['dst']} via {r['gateway']} dev wan\n" for r in routes if "gateway" in r)
    again = [sys.executable, str(HERE), "--plainly", *command]
    begun = time.perf_counter()
    subprocess.run(again, input=text, text=True, check=True, env=os.environ | {"PYTHONPATH": str(HERE.parents[1])})
    return time.perf_counter() - begun


def cells(row: Row, runs: list[Taken], plain: float) -> list[str]:
    """The measurements of one row, and whether they are within its limits."""
    seconds = median(run.seconds for run in runs)
    own, tool = max(run.own_mib for run in runs), max(run.tool_mib for run in runs)
    question = median(run.question_ms for run in runs)
    within = seconds <= row.limit_s and question <= row.question_ms and own <= (row.limit_mib or own)
    limits = f"{row.limit_s:g} s" + (f", {row.question_ms:g} ms" if row.question_ms else "")
    limits += f", {row.limit_mib} MiB" if row.limit_mib else ""
    return [
        f"{seconds:.2f}",
        f"{seconds / plain:.1f}x" if plain else "",
        f"{question:.1f}" if row.question_ms else "",
        str(own),
        str(tool),
        limits,
        "yes" if within else "no",
    ]


def main(names: Sequence[str], rounds: int, before: Path | None) -> None:
    """Print the table of these rows."""
    trees = {"before": before.resolve()} if before else {}
    trees["now"] = HERE.parents[1]
    rows = []
    for name in names:
        row = ROWS[name]
        with tempfile.TemporaryDirectory() as scratch:
            network = Path(scratch) / "net"
            row.write(network, row.count)
            runs: dict[str, list[Taken]] = {tree: [] for tree in trees}
            plain = 0.0
            for _ in range(rounds):
                for tree, folder in trees.items():
                    with namespaces_freed():
                        if row.after_another:
                            check(folder, network)
                        runs[tree].append((ask if row.question_ms else check)(folder, network))
                if row.plain:
                    plain = plainly(network, row)
            for tree, taken in runs.items():
                rows.append([f"{name} {tree}" if before else name, *cells(row, taken, plain)])
    columns = ["input", "s", "of the tool alone", "question ms", "MiB", "of a tool", "limit", "within"]
    print(table("Large inputs, from facts to a network that is up", columns, rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--plainly"]:
        namespaces.isolate()
        sys.exit(subprocess.run(sys.argv[2:], check=False).returncode)
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another working tree, measured beside this one")
    options = parser.parse_args()
    unknown = set(options.rows) - ROWS.keys()
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    main(options.rows or list(ROWS), options.rounds, options.before)
