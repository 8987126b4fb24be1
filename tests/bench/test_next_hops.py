"""Routes with several next hops: each is tested, and the routes are the same afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from netlab.kernel import namespaces
from netlab.live.build import LiveNetwork
from netlab.quick.branches import united
from netlab.quick.flow import Question
from netlab.quick.walk import Walker
from netlab.results.document import NO, UNKNOWN, YES
from tests.bench.conftest import Bench
from tests.bench.isolated import with_network
from tests.bench.small import Rules, route, write_router

Start = Callable[[Path], Bench]
DROP = ":FORWARD DROP [0:0]\n-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT"


def several(folder: Path, name: str, *lines: str) -> None:
    """Add routes with several next hops: `10.0.2.0/24 10.9.0.2 c 10.9.0.3 c` and table or metric in between."""
    path = folder / name / "routes.json"
    entries = json.loads(path.read_text())
    for line in lines:
        words, *hops = line.split(" nexthop ")
        entry = route(words)
        entry["nexthops"] = [
            {"gateway": gateway, "dev": device, "weight": 1, "flags": []}
            for gateway, device in (hop.split() for hop in hops)
        ]
        entries.append(entry)
    path.write_text("[" + ",\n".join(map(json.dumps, entries)) + "]\n")


def diamond(
    folder: Path, *, filters: dict[str, str], rules: Rules | None = None, r1: str = "", table: str = ""
) -> None:
    """r1 reaches 10.0.2.0/24 through m1 on c and through m2 and m3 on d."""
    write_router(folder, "r1", {"lan": "10.0.1.1/24", "c": "10.8.0.1/24", "d": "10.9.0.1/24"}, iptables=r1, rules=rules)
    several(folder, "r1", f"10.0.2.0/24{table} nexthop 10.8.0.11 c nexthop 10.9.0.12 d nexthop 10.9.0.13 d")
    for number, (up, link) in enumerate((("c", 8), ("d", 9), ("d", 9)), start=1):
        interfaces = {up: f"10.{link}.0.1{number}/24", "srv": f"10.0.2.{number}/24"}
        back = f"10.0.1.0/24 via 10.{link}.0.1 dev {up}"
        write_router(folder, f"m{number}", interfaces, back, filter_=filters.get(f"m{number}", ""))


def service(document: dict[str, Any]) -> dict[str, Any]:
    return dict(document["services"][0])


def test_different_answers_are_unknown_and_the_same_answer_is_the_answer(tmp_path: Path, bench_of: Start) -> None:
    diamond(tmp_path, filters={"m2": DROP})
    bench = bench_of(tmp_path)
    for host in range(20, 30):
        answers = bench.quick("10.0.1.9", f"10.0.2.{host}", "80/tcp,443/tcp")
        good, bad = answers["services"]
        assert (good["result"], good["reason"], answers["depends_on"]) == (YES, None, [])
        assert any("the answer is the same whatever the next hop of r1" in caveat for caveat in answers["caveats"])
        assert (bad["result"], bad["path"], bad["blocked_by"]) == (UNKNOWN, ["r1"], [])
        assert bad["reason"] == (
            "the answer depends on the next hop of r1 to 10.0.2.0/24 (r1/routes.json:4): "
            "YES for 10.8.0.11 on c, 10.9.0.13 on d; NO for 10.9.0.12 on d: blocked by m2 (m2/iptables.rules:2)"
        )


def test_a_rule_of_the_router_itself_that_looks_at_the_interface(tmp_path: Path, bench_of: Start) -> None:
    diamond(
        tmp_path,
        filters={},
        r1="*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -o c -p tcp -m tcp --dport 80 -j DROP\n"
        "-A FORWARD -o d -p tcp -m tcp --dport 81 -j DROP\n-A FORWARD -o c -p tcp -m tcp --dport 81 -j DROP\nCOMMIT",
    )
    answers = bench_of(tmp_path).quick("10.0.1.9", "10.0.2.20", "80/tcp,81/tcp")
    some, every = answers["services"]
    assert some["result"] == UNKNOWN
    assert "NO for 10.8.0.11 on c: blocked by r1 (r1/iptables.rules:3)" in some["reason"]
    assert answers["routers"][0]["services"][0]["result"] == UNKNOWN
    assert (every["result"], every["blocked_by"]) == (NO, ["r1"])


def test_next_hops_of_policy_routing_by_mark(tmp_path: Path, bench_of: Start) -> None:
    diamond(
        tmp_path,
        filters={"m1": DROP},
        table=" table 77",
        rules=[{"priority": 100, "src": "all", "fwmark": "0x1", "table": "77"}],
        r1="*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j MARK --set-xmark 0x1/0xffffffff\nCOMMIT",
    )
    bench = bench_of(tmp_path)
    for port, result in (("80/tcp", YES), ("443/tcp", UNKNOWN), ("443/udp", NO)):
        assert service(bench.quick("10.0.1.9", "10.0.2.20", port))["result"] == result


def test_a_detailed_run_of_a_service_whose_next_hops_differ_is_unknown(tmp_path: Path, bench_of: Start) -> None:
    diamond(tmp_path, filters={"m2": DROP})
    (tmp_path / "hosts.yaml").write_text("10.0.2.0/24: m1\n")
    bench = bench_of(tmp_path)
    for host in range(20, 26):
        real = bench.detailed("10.0.1.9", f"10.0.2.{host}", "443/tcp")
        assert service(real)["result"] == UNKNOWN
        assert "NO for 10.9.0.12 on d: blocked by m2 (m2/iptables.rules:2)" in service(real)["reason"]
        real = bench.detailed("10.0.1.9", f"10.0.2.{host}", "80/tcp")
        assert service(real)["result"] == YES
        assert any("only one was tested with a real connection" in caveat for caveat in real["depends_on"])


def test_a_return_path_with_several_next_hops_has_a_caveat(tmp_path: Path, bench_of: Start) -> None:
    diamond(tmp_path, filters={})
    real = bench_of(tmp_path).detailed("10.0.2.20", "10.0.1.9", "443/tcp")
    assert service(real)["result"] in (YES, NO, UNKNOWN)
    assert any("the reply depends on the next hop of r1 to 10.0.2.0/24" in caveat for caveat in real["depends_on"])


@pytest.mark.parametrize("depth", [2, 7])
def test_several_routers_in_a_row(tmp_path: Path, bench_of: Start, depth: int) -> None:
    """Each of `depth` routers has two next hops, which are two addresses of the next router."""
    for number in range(depth + 1):
        interfaces = {"in": f"10.{number}.0.2/24"} | (
            {"a": f"10.{number + 1}.0.1/24", "b": f"10.{number + 101}.0.1/24"} if number < depth else {}
        )
        if number:
            interfaces["other"] = f"10.{number + 100}.0.2/24"
        if number == depth:
            interfaces["srv"] = "192.168.0.1/24"
        drop = ":FORWARD ACCEPT [0:0]\n-A FORWARD -i other -p udp -j DROP" if number == depth else ""
        write_router(tmp_path, f"r{number}", interfaces, filter_=drop)
        if number < depth:
            one, other = f"10.{number + 1}.0.2 a", f"10.{number + 101}.0.2 b"
            several(tmp_path, f"r{number}", f"192.168.0.0/24 nexthop {one} nexthop {other}")
    bench = bench_of(tmp_path)
    tcp, udp = (service(bench.quick("10.0.0.9", "192.168.0.9", name)) for name in ("443/tcp", "443/udp"))
    if 2**depth > 64:
        assert (tcp["result"], udp["result"]) == (UNKNOWN, UNKNOWN)
        assert "more than 64 possible paths" in tcp["reason"]
        return
    assert (tcp["result"], udp["result"]) == (YES, UNKNOWN)
    assert "YES for 10.1.0.2 on a then 10.2.0.2 on a" in udp["reason"]
    assert (
        "NO for 10.1.0.2 on a then 10.102.0.2 on b, 10.101.0.2 on b then 10.102.0.2 on b: blocked by r2"
        in udp["reason"]
    )


def test_the_routes_are_the_same_afterwards(tmp_path: Path) -> None:
    def body(network: LiveNetwork) -> None:
        def routes() -> list[bytes]:
            shown = []
            for router in network.routers.values():
                with namespaces.entered(router.namespace):
                    command = ["ip", "-d", "route", "show", "table", "all"]
                    shown.append(subprocess.run(command, capture_output=True, check=True).stdout)
            return shown

        before, walker = routes(), Walker(network)
        services = tuple((port, "tcp") for port in range(1, 101))
        question = Question(IPv4Address("10.0.1.9"), IPv4Address("10.0.2.20"), services, 50_000, 33)
        ((_, flows),) = walker.walk([question])
        assert [len(flow.paths) for flow in flows] == [3] * 100
        assert {united(flow).result for flow in flows} == {YES, UNKNOWN}
        assert routes() == before

    diamond(tmp_path, filters={"m2": DROP})
    with_network(tmp_path, body)
