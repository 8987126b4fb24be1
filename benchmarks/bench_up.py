"""Bringing a bench up: 10 and 100 routers of 35 iptables rules each, from reading the facts to ready.

    .venv/bin/python -m benchmarks.bench_up [--rounds 5]

Reference, in the same run: the same ten routers built the plain way, one `ip` command a step and the firewalls one after
the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

from benchmarks.tables import ms, ratio, table
from netlab.facts import reader
from netlab.facts.ip_batch import router_commands
from netlab.kernel import namespaces
from netlab.kernel.confined import Tools
from netlab.live.build import build
from netlab.live.load import load_firewall, load_text, tool
from tests.bench.small import write_router

LIMITS_S = {10: 0.3, 100: 2.0}


def write_chain(folder: Path, routers: int) -> None:
    """Write a chain of routers with a LAN and 35 rules each."""
    rules = "\n".join(f"-A FORWARD -s 10.{n}.0.0/16 -p tcp --dport {1000 + n} -j DROP" for n in range(35))
    for n in range(1, routers + 1):
        links = {"lan": f"10.0.{n}.1/24", "left": f"10.9.{n}.2/24", "right": f"10.9.{n + 1}.1/24"}
        routes = "".join(
            f"10.0.{m}.0/24 via {f'10.9.{n}.1 dev left' if m < n else f'10.9.{n + 1}.2 dev right'}\n"
            for m in range(1, routers + 1)
            if m != n
        )
        write_router(folder, f"r{n}", links, routes, filter_=rules)


def once(folder: Path, plain: bool) -> float:
    """Build in a child process that leaves the machine's network; returns its seconds."""
    command = [sys.executable, "-m", "benchmarks.bench_up", "--build", str(folder), *(["--plain"] if plain else [])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def build_here(folder: Path, plain: bool) -> float:
    """Seconds from reading the facts to a network that is up."""
    namespaces.isolate()
    started = time.perf_counter()
    facts = reader.load(folder)
    if plain:
        _build_plainly(facts)
    else:
        build(facts)
    return time.perf_counter() - started


def _build_plainly(facts: reader.NetworkFacts) -> None:
    ip, number = tool("ip"), 0
    for router in facts.routers:
        space = namespaces.create(namespaces.ROUTER_SYSCTLS)
        for interface in router.interfaces:
            if not interface.loopback:
                number += 1
                peer = ["peer", "name", interface.name, "netns", f"/proc/self/fd/{space}"]
                subprocess.run(
                    [ip, "link", "add", f"p{number}", "up", "type", "veth", *peer], check=True, pass_fds=[space]
                )
        with namespaces.entered(space):
            for command in router_commands(router)[0]:
                subprocess.run([ip, *command.text.split()], check=True)
        with Tools() as tools:
            load_firewall(tools, router, space)
            load_text(tools, "nft.rules", (files("netlab.live") / "bench.nft").read_text(), "bench.nft", space)


def main(rounds: int) -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        plain: list[float] = []
        for routers, limit in LIMITS_S.items():
            folder = Path(scratch) / str(routers)
            write_chain(folder, routers)
            ours = []
            for _ in range(rounds):
                ours.append(once(folder, plain=False))
                if routers == 10:
                    plain.append(once(folder, plain=True))
            rows.append([f"{routers} routers", *ms(ours), ratio(ours, plain), f"<= {limit * 1e3:.0f}"])
        rows.append(["10 routers, plainly", *ms(plain), "1.00x", ""])
    columns = ["bench up (ms)", "median", "p90", "of 10 plainly", "limit"]
    print(table("From facts to a standing network, 35 rules a router", columns, rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        print(build_here(options.build, options.plain))
    else:
        main(options.rounds)
