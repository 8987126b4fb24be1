"""No run sees another, and none leaves anything: tested on campus by many clients at once, and checked in its routers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Barrier
from typing import Any

import pytest

from tests.bench.campus_cells import CELLS
from tests.bench.conftest import CAMPUS, Bench, as_json, parsed, running_bench
from tests.bench.small import write_router
from tests.bench.test_small_networks import A, B, answer, line_of_two
from tests.support.patience import patience

Start = Callable[[Path], Bench]
LANES = range(32, 64)
ODD = "0.0.0.0 0.0.0.1 127.0.0.1 224.0.0.5 255.255.255.255 10.1.10.255 10.1.10.0 169.254.1.1 240.0.0.1".split()


def verdicts(result: dict[str, Any]) -> list[tuple[str, list[str], list[str]]]:
    """The part of a result that must not depend on other runs."""
    return [(service["result"], service["path"], service["blocked_by"]) for service in result["services"]]


def namespaces_of(pid: int) -> list[str]:
    """One path of /proc for each network namespace that the process holds by a descriptor."""
    found = {}
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # one that was open only for a moment
            target = os.readlink(fd)
            if target.startswith("net:["):
                found[target] = str(fd)
    return list(found.values())


def inside(space: str, pid: int, *command: str) -> str:
    """Output of a command run in a namespace of the bench."""
    enter = ["nsenter", f"--net={space}"]
    if os.getuid():
        enter = ["nsenter", f"--target={pid}", "--user", "--preserve-credentials", f"--net={space}"]
    return subprocess.run([*enter, *command], capture_output=True, text=True, check=True, timeout=patience(10)).stdout


def leftovers(bench: Bench) -> list[str]:
    """Connections, neighbours and elements of the bench's sets that are left in any router."""
    pid, found = bench.process.pid, []
    spaces = namespaces_of(pid)
    assert len(spaces) >= len(bench.client.status().routers)
    for space in spaces:
        count = inside(space, pid, "cat", "/proc/sys/net/netfilter/nf_conntrack_count").strip()
        found += [f"{space}: {count} connections"] if count != "0" else []
        neighbours = json.loads(inside(space, pid, "ip", "-j", "-4", "neigh") or "[]")
        found += [f"{space}: neighbour {n['dst']}" for n in neighbours if n.get("state") != ["NOARP"]]
        if "reachq_bench" in inside(space, pid, "nft", "list", "tables"):
            table = inside(space, pid, "nft", "list", "table", "ip", "reachq_bench")
            found += [f"{space}: {line.strip()}" for line in table.splitlines() if "elements" in line]
    return found


@pytest.fixture(scope="module")
def quiet() -> Iterator[Bench]:
    """A separate campus for this module, so that everything found in the routers comes from these tests."""
    with running_bench(CAMPUS) as bench:
        yield bench


def test_200_cells_from_32_threads_are_as_one_by_one(quiet: Bench) -> None:
    random = Random(7)
    asked = []
    for _ in range(200):
        cells = random.choices(CELLS, k=random.randint(1, 4))
        services = ",".join(dict.fromkeys(cell.service for cell in cells))
        asked.append((cells[0].source, random.choice(cells).destination, services))
    alone = [verdicts(quiet.quick(*question)) for question in asked]

    def ask_all(lane: int) -> list[tuple[int, list[tuple[str, list[str], list[str]]]]]:
        answers = []
        for number in range(lane - LANES[0], len(asked), len(LANES)):
            source, destination, services = asked[number]
            with quiet.client.attempt(run_id=str(number), mode="quick", lane=lane, fence=next(quiet.fences)) as attempt:
                result = attempt.quick(source, destination, parsed(services))
                answers.append((number, verdicts(as_json(result))))
        return answers

    with ThreadPoolExecutor(len(LANES)) as threads:
        together = dict(pair for answers in threads.map(ask_all, LANES) for pair in answers)
    assert [together[number] for number in range(len(asked))] == alone
    assert leftovers(quiet) == []


def test_two_runs_at_once_with_one_five_tuple(quiet: Bench) -> None:
    cells = [cell for cell in CELLS if "/" in cell.service][:40]
    barrier = Barrier(2)

    def ask(lane: int) -> list[Any]:
        found = []
        for cell in cells:
            barrier.wait(patience(20))
            port = cell.source_port or 31_000
            result = quiet.quick(cell.source, cell.destination, cell.service, source_port=port, lane=lane)
            found.append((result["verdict"], tuple(result["path"])))
        return found

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(ask, (40, 41))
    alone = []
    for cell in cells:
        result = quiet.quick(cell.source, cell.destination, cell.service, source_port=cell.source_port or 31_000)
        alone.append((result["verdict"], tuple(result["path"])))
    assert first == second == alone


def test_a_run_and_its_mirror_image(tmp_path: Path, bench_of: Start) -> None:
    stateful = {
        "filter_": """-P FORWARD DROP
        -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A FORWARD -s 10.0.1.0/24 -p udp --dport 53 -j ACCEPT
        -A FORWARD -s 10.0.1.0/24 -p tcp --dport 80 -j ACCEPT"""
    }
    line_of_two(tmp_path, stateful, stateful)
    bench = bench_of(tmp_path)
    for lane in (32, 33, 32):
        there = bench.quick(A, B, "53/udp,80/tcp", source_port=20_001, lane=lane)
        assert answer(there) == {"53/udp": ("YES", "r1 r2", ""), "80/tcp": ("YES", "r1 r2", "")}
        for port, service in ((53, "20001/udp"), (80, "20001/tcp")):
            back = bench.quick(B, A, service, source_port=port, lane=lane)
            assert answer(back) == {service: ("NO", "r2 r1", "r2 r1")}
    assert leftovers(bench) == []


def test_mirror_images_on_campus(quiet: Bench) -> None:
    cells = [cell for cell in CELLS if cell.verdict == "YES" and cell.service.endswith(("/tcp", "/udp"))][:40]

    def mirror(cell: Any) -> Any:
        port, protocol = cell.service.split("/")
        return verdicts(quiet.quick(cell.destination, cell.source, f"20001/{protocol}", source_port=int(port)))

    before = [mirror(cell) for cell in cells]
    for cell, seen in zip(cells, before, strict=True):
        assert quiet.quick(cell.source, cell.destination, cell.service, source_port=20_001)["services"]
        assert mirror(cell) == seen, cell


def test_nat_gives_the_same_port_again_and_again(tmp_path: Path, bench_of: Start) -> None:
    """A mapping that stayed would give the second run another port, and the rule behind it another answer."""
    nat = "*nat\n-A POSTROUTING -o up -j SNAT --to-source 10.9.0.1\nCOMMIT\n"
    line_of_two(tmp_path, {"iptables": nat}, {"filter_": "-P FORWARD DROP\n-A FORWARD -p udp --sport 4000 -j ACCEPT"})
    bench = bench_of(tmp_path)
    for source in ("10.0.1.8", A, A, "10.0.1.7"):
        assert bench.quick(source, B, "53/udp", source_port=4000)["verdict"] == "YES"
    assert leftovers(bench) == []


def test_odd_addresses_are_answered_and_break_nothing(quiet: Bench) -> None:
    usual = CELLS[0]
    for odd in ODD:
        for source, destination in ((odd, usual.destination), (usual.source, odd), (odd, odd), ("10.1.10.1", odd)):
            result = quiet.quick(source, destination, "80/tcp,53/udp,icmp")
            assert result["verdict"] in ("YES", "NO", "UNKNOWN")
    assert quiet.quick(usual.source, usual.destination, usual.service)["verdict"] == usual.verdict
    assert leftovers(quiet) == []


def test_a_hundred_services_at_once_leave_nothing(quiet: Bench) -> None:
    services = ",".join(f"{port}/tcp" for port in range(1, 100)) + ",icmp"
    result = quiet.quick(CELLS[0].source, CELLS[0].destination, services)
    assert len(result["services"]) == 100
    assert leftovers(quiet) == []


def test_a_set_that_the_router_fills_itself_is_named(tmp_path: Path, bench_of: Start) -> None:
    """Not everything can be isolated; the rest is reported as a caveat."""
    recent = """-A FORWARD -p tcp --dport 80 -m recent --name seen --set
    -A FORWARD -p tcp --dport 80 -m recent --name seen --rcheck --hitcount 3 -j DROP"""
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "far": "10.0.2.1/24"}, filter_=recent)
    caveats = bench_of(tmp_path).quick(A, B, "80/tcp")["caveats"]
    assert sum("recent" in caveat for caveat in caveats) == 2
