"""The bench against networks that really forward; and one small test for each fault that those comparisons found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.conftest import Bench
from tests.bench.oracle import examine
from tests.bench.small import write_router
from tests.bench.test_small_networks import A, B, answer, line_of_two

Start = Callable[[Path], Bench]


@pytest.mark.parametrize("first", range(1000, 1016, 4))
def test_random_networks_forward_as_the_bench_says(first: int, tmp_path: Path) -> None:
    found, compared, arrived = zip(*(examine(seed, tmp_path) for seed in range(first, first + 4)), strict=True)
    assert not any(found), "\n".join(text for texts in found for text in texts)
    assert sum(compared) >= 60
    assert 10 <= sum(arrived) <= sum(compared) - 10


def test_a_probe_looks_like_a_linux_host_s_first_packet(tmp_path: Path, bench_of: Start) -> None:
    unlike = """-P FORWARD ACCEPT
    -A FORWARD -p tcp -m length ! --length 60 -j DROP
    -A FORWARD -p tcp -m tcp ! --tcp-option 2 -j DROP
    -A FORWARD -p tcp -m tcpmss ! --mss 1460 -j DROP
    -A FORWARD -p icmp -m length ! --length 84 -j DROP
    -A FORWARD -m u32 ! --u32 4&0x4000=0x4000 -j DROP"""
    line_of_two(tmp_path, {"filter_": unlike}, {"filter_": unlike})
    result = bench_of(tmp_path).quick(A, B, "80/tcp,53/udp,icmp")
    assert {s["result"] for s in result["services"]} == {"YES"}, result


def test_routers_behind_take_their_part_of_the_ttl(tmp_path: Path, bench_of: Start) -> None:
    line_of_two(
        tmp_path,
        {"iptables": "*mangle\n-A PREROUTING -m ttl ! --ttl-eq 64 -j DROP\nCOMMIT\n"},
        {
            "iptables": "*mangle\n-A PREROUTING -s 10.0.1.9 -m ttl ! --ttl-eq 63 -j DROP\n"
            "-A PREROUTING -s 10.9.0.1 -m ttl ! --ttl-eq 64 -j DROP\nCOMMIT\n"
        },
    )
    bench = bench_of(tmp_path)
    assert bench.quick(A, B, "80/tcp,53/udp,icmp")["verdict"] == "YES"
    assert bench.quick("10.9.0.1", B, "80/tcp,53/udp,icmp")["verdict"] == "YES"  # packets from r1 itself start with 64


def test_a_router_without_a_route_for_what_it_sends_says_no(tmp_path: Path, bench_of: Start) -> None:
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24"}, "prohibit 10.66.0.0/16")
    bench = bench_of(tmp_path)
    for destination, word in (("10.66.0.1", "prohibit"), ("10.67.0.1", "no route")):
        result = bench.quick("10.0.1.1", destination, "80/tcp,icmp")
        assert answer(result) == {"80/tcp": ("NO", "r1", "r1"), "icmp": ("NO", "r1", "r1")}
        assert word in result["reason"]


def test_the_internet_comes_in_by_the_default_gateway_whatever_policy_rules_say(
    tmp_path: Path, bench_of: Start
) -> None:
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.1/24", "wan": "192.0.2.2/29", "x": "10.9.0.1/30"},
        "default via 192.0.2.1 dev wan\ndefault via 10.9.0.2 dev x table 100",
        rules=[{"priority": 100, "not": None, "src": "10.0.1.0", "srclen": 24, "table": "100"}],
    )
    write_router(tmp_path, "r2", {"x": "10.9.0.2/30"}, "default via 10.9.0.1 dev x")
    result = bench_of(tmp_path).quick("198.51.100.7", "192.0.2.2", "80/tcp")
    assert answer(result) == {"80/tcp": ("YES", "r1", "")}


def test_policy_rules_by_port_hold_for_what_a_router_itself_sends(tmp_path: Path, bench_of: Start) -> None:
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.1/24", "a": "10.9.0.1/30", "b": "10.9.1.1/30"},
        "default via 10.9.0.2 dev a\ndefault via 10.9.1.2 dev b table 7",
        rules=[
            {"priority": 100, "src": "all", "ipproto": "tcp", "dport": 443, "table": "7"},
            {"priority": 101, "src": "all", "ipproto": "tcp", "dport": 53, "action": "blackhole"},
            {"priority": 102, "src": "all", "ipproto": "icmp", "table": "7"},
        ],
    )
    for number, name in enumerate("ab"):
        write_router(tmp_path, f"via-{name}", {"up": f"10.9.{number}.2/30", "far": f"10.0.2.{number + 1}/24"})
    result = bench_of(tmp_path).quick("10.0.1.1", B, "22/tcp,443/tcp,53/tcp,53/udp,icmp")
    assert answer(result) == {
        "22/tcp": ("YES", "r1 via-a", ""),
        "443/tcp": ("YES", "r1 via-b", ""),
        "53/tcp": ("NO", "r1", "r1"),
        "53/udp": ("YES", "r1 via-a", ""),
        "icmp": ("YES", "r1 via-b", ""),
    }


def test_a_router_that_asks_itself_is_not_told_more_than_was_seen(tmp_path: Path, bench_of: Start) -> None:
    line_of_two(tmp_path, {"filter_": "-P INPUT DROP\n-A OUTPUT -p udp -j DROP"})
    result = bench_of(tmp_path).quick("10.0.1.1", "10.9.0.1", "80/tcp,53/udp")
    assert [service["result"] for service in result["services"]] == ["UNKNOWN", "NO"]
    assert "INPUT was not tested" in result["reason"]


def test_flowtables_and_ingress_hooks(tmp_path: Path, bench_of: Start) -> None:
    """A flowtable decides nothing about a first packet. A drop in an ingress hook is not visible, so the result is
    UNKNOWN.
    """
    line_of_two(
        tmp_path,
        {
            "nft": """table inet f {
            flowtable ft {
            hook ingress priority 0
            devices = { lan, up }
            }
            chain c {
            type filter hook forward priority 0; policy accept;
            meta l4proto { tcp, udp } flow add @ft counter
            tcp dport 23 drop
            }
            }
            table netdev g {
            chain c {
            type filter hook ingress device "lan" priority 0; policy accept;
            udp dport 53 drop
            }
            }"""
        },
    )
    result = bench_of(tmp_path).quick(A, B, "22/tcp,23/tcp,53/udp")
    assert [service["result"] for service in result["services"]] == ["YES", "NO", "UNKNOWN"]
    rule = result["routers"][0]["services"][1]["rule"]
    assert (rule["number"], rule["file"], rule["line"]) == (2, "r1/nft.rules", 9)
    assert any("53/udp was never seen on r1" in caveat for caveat in result["caveats"])
