"""Small networks, each with one trap; every expected value follows from the two or three lines of rules above it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import Bench
from tests.bench.small import write_router

Start = Callable[[Path], Bench]
A, B = "10.0.1.9", "10.0.2.9"


def answer(result: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """service -> (result, path, blocked_by), the lists joined by blanks."""
    return {
        f"{s['port']}/{s['protocol']}" if s["port"] else s["protocol"]: (
            s["result"],
            " ".join(s["path"]),
            " ".join(s["blocked_by"]),
        )
        for s in result["services"]
    }


def line_of_two(network: Path, left: dict[str, Any] | None = None, right: dict[str, Any] | None = None) -> None:
    """A's segment 10.0.1.0/24 - r1 - r2 - 10.0.2.0/24 with B."""
    write_router(
        network, "r1", {"lan": "10.0.1.1/24", "up": "10.9.0.1/30"}, "10.0.2.0/24 via 10.9.0.2 dev up", **(left or {})
    )
    write_router(
        network, "r2", {"up": "10.9.0.2/30", "lan": "10.0.2.1/24"}, "10.0.1.0/24 via 10.9.0.1 dev up", **(right or {})
    )


def test_policy_routing_by_mark_and_by_port(tmp_path: Path, bench_of: Start) -> None:
    marks = "*mangle\n-A PREROUTING -p tcp --dport 443 -j MARK --set-mark 7\nCOMMIT\n"
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.1/24", "a": "10.9.0.1/30", "b": "10.9.1.1/30", "c": "10.9.2.1/30"},
        """default via 10.9.0.2 dev a
        default via 10.9.1.2 dev b table 7
        default via 10.9.2.2 dev c table isp3""",
        rules=[
            {"priority": 100, "src": "all", "fwmark": "0x7", "table": "7"},
            {"priority": 101, "src": "all", "ipproto": "udp", "dport": 53, "table": "isp3"},
        ],
        iptables=marks,
    )
    for number, name in enumerate("abc"):
        write_router(
            tmp_path,
            f"via-{name}",
            {"up": f"10.9.{number}.2/30", "far": f"10.0.2.{number + 1}/24"},
            filter_="-P FORWARD ACCEPT\n-A FORWARD -p icmp -j DROP" if name == "a" else "",
        )
    result = bench_of(tmp_path).quick(A, B, "22/tcp,443/tcp,53/udp,54/udp,icmp")
    assert answer(result) == {
        "22/tcp": ("YES", "r1 via-a", ""),
        "443/tcp": ("YES", "r1 via-b", ""),
        "53/udp": ("YES", "r1 via-c", ""),
        "54/udp": ("YES", "r1 via-a", ""),
        "icmp": ("NO", "r1 via-a", "via-a"),
    }
    assert result["path"] == ["r1", "via-a"]
    assert {(r["name"], r["out"]) for r in result["routers"]} == {
        ("r1", "a"),
        ("r1", "b"),
        ("r1", "c"),
        ("via-a", "far"),
        ("via-b", "far"),
        ("via-c", "far"),
    }


def test_raw_and_mangle_drops_are_no(tmp_path: Path, bench_of: Start) -> None:
    drops = """*raw
    -A PREROUTING -p tcp --dport 23 -j DROP
    COMMIT
    *mangle
    -A PREROUTING -p tcp --dport 24 -j DROP
    -A FORWARD -p tcp --dport 25 -j DROP
    -A POSTROUTING -p tcp --dport 26 -j DROP
    COMMIT"""
    line_of_two(tmp_path, {"iptables": drops}, {"filter_": "-A FORWARD -p tcp --dport 23 -j DROP"})
    result = bench_of(tmp_path).quick(A, B, "22/tcp,23/tcp,24/tcp,25/tcp,26/tcp")
    assert answer(result) == {
        "22/tcp": ("YES", "r1 r2", ""),
        "23/tcp": ("NO", "r1 r2", "r1 r2"),  # both: the second is asked too
        "24/tcp": ("NO", "r1 r2", "r1"),
        "25/tcp": ("NO", "r1 r2", "r1"),
        "26/tcp": ("NO", "r1 r2", "r1"),
    }
    assert any("r1 dropped 23/tcp before routing" in caveat for caveat in result["caveats"])


def test_hairpin_out_of_the_interface_it_came_in_on(tmp_path: Path, bench_of: Start) -> None:
    write_router(
        tmp_path,
        "gate",
        {"lan": "10.0.1.1/24"},
        "10.0.2.0/24 via 10.0.1.2 dev lan",
        filter_="-P FORWARD ACCEPT\n-A FORWARD -i lan -o lan -p tcp --dport 80 -j DROP",
    )
    write_router(tmp_path, "side", {"lan": "10.0.1.2/24", "far": "10.0.2.1/24"}, "default via 10.0.1.1 dev lan")
    bench = bench_of(tmp_path)
    # Both routers are on A's segment, and neither has a default route that leads away from it.
    assert "NO for gate:lan: blocked by gate" in bench.quick(A, B, "80/tcp")["reason"]
    (tmp_path / "hosts.yaml").write_text("10.0.1.0/24: side\n")
    bench = bench_of(tmp_path)
    assert answer(bench.quick(A, B, "80/tcp")) == {"80/tcp": ("YES", "side", "")}
    # Towards 10.0.3.0/24 side hairpins back to gate, which has no route.
    result = bench.quick("10.0.2.9", "10.0.3.1", "80/tcp")
    assert answer(result) == {"80/tcp": ("NO", "side gate", "gate")}
    assert "no route" in result["reason"]


def test_hairpin_is_judged_like_any_other(tmp_path: Path, bench_of: Start) -> None:
    hub_rules = "-P FORWARD DROP\n-A FORWARD -i hub -o hub -p tcp --dport 80 -j ACCEPT"
    write_router(
        tmp_path,
        "hub",
        {"hub": "10.9.0.1/24"},
        "10.0.1.0/24 via 10.9.0.2 dev hub\n10.0.2.0/24 via 10.9.0.3 dev hub",
        filter_=hub_rules,
    )
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "hub": "10.9.0.2/24"}, "default via 10.9.0.1 dev hub")
    write_router(tmp_path, "r2", {"lan": "10.0.2.1/24", "hub": "10.9.0.3/24"}, "default via 10.9.0.1 dev hub")
    result = bench_of(tmp_path).quick(A, B, "80/tcp,81/tcp")
    assert answer(result) == {"80/tcp": ("YES", "r1 hub r2", ""), "81/tcp": ("NO", "r1 hub r2", "hub")}
    hub = next(r for r in result["routers"] if r["name"] == "hub")
    assert (hub["in"], hub["out"]) == ("hub", "hub")


def test_ipset_and_user_chains(tmp_path: Path, bench_of: Start) -> None:
    line_of_two(
        tmp_path,
        {
            "ipset": """create friends hash:net family inet hashsize 1024 maxelem 65536
            add friends 10.0.1.0/29
            create web bitmap:port range 0-65535
            add web 80
            add web 443""",
            "filter_": """:FORWARD DROP [0:0]
            :outer - [0:0]
            :inner - [0:0]
            -A FORWARD -j outer
            -A outer -p tcp -j inner
            -A outer -p udp --dport 53 -j RETURN
            -A outer -p udp -j ACCEPT
            -A inner -m set --match-set friends src -m set --match-set web dst -j ACCEPT
            -A inner -p tcp --dport 22 -j REJECT --reject-with tcp-reset""",
        },
    )
    bench = bench_of(tmp_path)
    assert answer(bench.quick("10.0.1.5", B, "80/tcp,22/tcp,53/udp,54/udp")) == {
        "80/tcp": ("YES", "r1 r2", ""),
        "22/tcp": ("NO", "r1 r2", "r1"),
        "53/udp": ("NO", "r1 r2", "r1"),
        "54/udp": ("YES", "r1 r2", ""),
    }
    assert answer(bench.quick("10.0.1.9", B, "80/tcp")) == {"80/tcp": ("NO", "r1 r2", "r1")}


def test_nat_is_followed(tmp_path: Path, bench_of: Start) -> None:
    nat = """*nat
    -A PREROUTING -d 192.0.2.80 -p tcp --dport 80 -j DNAT --to-destination 10.0.2.9:8080
    -A POSTROUTING -o up -p udp -j SNAT --to-source 10.9.0.1
    COMMIT"""
    line_of_two(
        tmp_path,
        {"iptables": nat},
        {
            "filter_": """-P FORWARD DROP
            -A FORWARD -d 10.0.2.9 -p tcp --dport 8080 -j ACCEPT
            -A FORWARD -s 10.9.0.1 -p udp -j ACCEPT"""
        },
    )
    bench = bench_of(tmp_path)
    assert answer(bench.quick(A, "192.0.2.80", "80/tcp")) == {"80/tcp": ("YES", "r1 r2", "")}
    assert answer(bench.quick(A, B, "80/tcp,8080/tcp,53/udp")) == {
        "80/tcp": ("NO", "r1 r2", "r2"),
        "8080/tcp": ("YES", "r1 r2", ""),
        "53/udp": ("YES", "r1 r2", ""),  # r2 sees the address r1 gave it
    }
    assert "no route" in bench.quick(A, "192.0.2.81", "80/tcp")["reason"]


def test_rules_that_look_at_dscp_are_not_fooled_by_the_lane(tmp_path: Path, bench_of: Start) -> None:
    line_of_two(
        tmp_path,
        {
            "iptables": """*raw
            -A PREROUTING -p tcp --dport 80 -m dscp --dscp 0x21 -j DROP
            -A PREROUTING -p tcp --dport 81 -m dscp --dscp 0x00 -j DROP
            -A PREROUTING -p tcp --dport 82 -m tos --tos 0x84/0xff -j DROP
            COMMIT"""
        },
        {"nft": "table ip shape {\nchain pre {\ntype filter hook prerouting priority -400;\nip dscp 33 drop\n}\n}"},
    )
    bench = bench_of(tmp_path)
    for lane in (32, 33, 63):
        assert answer(bench.quick(A, B, "80/tcp,81/tcp,82/tcp", lane=lane)) == {
            "80/tcp": ("YES", "r1 r2", ""),
            "81/tcp": ("NO", "r1 r2", "r1"),
            "82/tcp": ("YES", "r1 r2", ""),
        }


def test_policy_rules_that_look_at_tos_are_not_fooled_by_the_lane(tmp_path: Path, bench_of: Start) -> None:
    rules = [{"priority": 50, "src": "all", "tos": "0x10", "action": "blackhole"}]
    line_of_two(tmp_path, {"rules": rules})
    assert answer(bench_of(tmp_path).quick(A, B, "80/tcp", lane=36)) == {"80/tcp": ("YES", "r1 r2", "")}


def test_asymmetric_routing_asks_the_way_there_only(tmp_path: Path, bench_of: Start) -> None:
    write_router(tmp_path, "there", {"lan": "10.0.1.1/24", "far": "10.0.2.1/24"}, filter_="-P FORWARD ACCEPT")
    write_router(tmp_path, "back", {"lan": "10.0.1.2/24", "x": "10.0.3.1/24"}, filter_="-P FORWARD DROP")
    bench = bench_of(tmp_path)
    result = bench.quick(A, B, "80/tcp")
    assert answer(result) == {"80/tcp": ("YES", "there", "")}
    assert answer(bench.quick("10.0.3.9", A, "80/tcp")) == {"80/tcp": ("NO", "back", "back")}


@pytest.mark.parametrize(
    ("kind", "word"), [("blackhole", "blackhole"), ("unreachable", "unreachable"), ("prohibit", "prohibit")]
)
def test_refusing_routes(tmp_path: Path, bench_of: Start, kind: str, word: str) -> None:
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24"}, f"{kind} 10.66.0.0/16")
    bench = bench_of(tmp_path)
    result = bench.quick(A, "10.66.1.1", "80/tcp,icmp")
    assert result["verdict"] == "NO"
    assert result["services"][0]["blocked_by"] == ["r1"]
    assert word in result["reason"]
    assert "no route" in bench.quick(A, "10.67.1.1", "80/tcp")["reason"]


def test_loop(tmp_path: Path, bench_of: Start) -> None:
    line_of_two(tmp_path)
    write_router(tmp_path, "r3", {"x": "10.9.7.1/30"})
    (tmp_path / "r1" / "routes.json").write_text(
        (tmp_path / "r1" / "routes.json").read_text().replace("10.0.2.0/24", "10.0.0.0/8")
    )
    (tmp_path / "r2" / "routes.json").write_text(
        (tmp_path / "r2" / "routes.json").read_text().replace("10.0.1.0/24", "10.0.0.0/8")
    )
    result = bench_of(tmp_path).quick(A, "10.77.0.1", "80/tcp")
    assert answer(result) == {"80/tcp": ("NO", "r1 r2", "")}
    assert result["reason"] == "routing loop r1 → r2 → r1"


def test_next_hop_that_is_not_on_the_segment(tmp_path: Path, bench_of: Start) -> None:
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.1/24", "wan": "192.0.2.2/30"},
        """default via 192.0.2.1 dev wan
        10.5.0.0/16 via 10.77.0.1 dev wan onlink
        10.6.0.0/16 dev lan scope link""",
    )
    bench = bench_of(tmp_path)
    assert answer(bench.quick(A, "198.51.100.1", "80/tcp")) == {"80/tcp": ("YES", "r1", "")}  # the provider's gateway
    beyond = bench.quick(A, "10.5.0.1", "80/tcp")
    assert answer(beyond) == {"80/tcp": ("NO", "r1", "r1")}
    assert "10.77.0.1" in beyond["reason"]
    on_link = bench.quick("198.51.100.1", "10.6.0.1", "80/tcp")
    assert answer(on_link) == {"80/tcp": ("NO", "r1", "r1")}
    assert "10.6.0.1" in on_link["reason"]


def test_router_s_own_address_asks_its_input(tmp_path: Path, bench_of: Start) -> None:
    line_of_two(tmp_path, {}, {"filter_": "-P INPUT DROP\n-A INPUT -p tcp --dport 22 -s 10.0.1.0/24 -j ACCEPT"})
    result = bench_of(tmp_path).quick(A, "10.0.2.1", "22/tcp,23/tcp,icmp")
    assert answer(result) == {
        "22/tcp": ("YES", "r1 r2", ""),
        "23/tcp": ("NO", "r1 r2", "r2"),
        "icmp": ("NO", "r1 r2", "r2"),
    }
    assert "INPUT" in result["reason"]


def test_source_that_is_a_router_asks_its_output(tmp_path: Path, bench_of: Start) -> None:
    line_of_two(tmp_path, {"filter_": "-P OUTPUT ACCEPT\n-A OUTPUT -p tcp --dport 23 -j DROP"})
    result = bench_of(tmp_path).quick("10.9.0.1", B, "22/tcp,23/tcp,53/udp,icmp")
    assert answer(result) == {
        "22/tcp": ("YES", "r1 r2", ""),
        "23/tcp": ("NO", "r1 r2", "r1"),
        "53/udp": ("YES", "r1 r2", ""),
        "icmp": ("YES", "r1 r2", ""),
    }
    assert result["routers"][0]["in"] is None


def test_untracked_packets_keep_their_way(tmp_path: Path, bench_of: Start) -> None:
    line_of_two(
        tmp_path,
        {
            "iptables": "*raw\n-A PREROUTING -p udp --dport 53 -j CT --notrack\nCOMMIT\n",
            "filter_": """-P FORWARD DROP
            -A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT
            -A FORWARD -p tcp -m conntrack --ctstate NEW -j ACCEPT""",
        },
    )
    assert answer(bench_of(tmp_path).quick(A, B, "53/udp,54/udp,80/tcp")) == {
        "53/udp": ("YES", "r1 r2", ""),
        "54/udp": ("NO", "r1 r2", "r1"),
        "80/tcp": ("YES", "r1 r2", ""),
    }


def test_caveats_name_router_and_rule(tmp_path: Path, bench_of: Start) -> None:
    limits = """-P FORWARD DROP
        -A FORWARD -p tcp -m limit --limit 5/sec -j ACCEPT
        -A FORWARD -m limit --limit 1/sec -j LOG"""
    line_of_two(
        tmp_path,
        {"filter_": limits},
        {"iptables": "*mangle\n-A PREROUTING -p tcp --dport 80 -j DSCP --set-dscp 0x08\nCOMMIT\n"},
    )
    caveats = bench_of(tmp_path).quick(A, B, "80/tcp")["caveats"]
    assert caveats[2:] == ["forwarding is assumed to be on and rp_filter off, without netconf.json: r1, r2"]
    assert caveats[0].startswith("r1 FORWARD: `-A FORWARD -p tcp -m limit")
    assert "r1/iptables.rules:3" in caveats[0]
    assert caveats[1].startswith("r2 PREROUTING:")


def test_wireguard_far_end_without_gateway(tmp_path: Path, bench_of: Start) -> None:
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "wg0": "10.9.0.1/30"}, "10.0.2.0/24 dev wg0 scope link")
    write_router(tmp_path, "r2", {"lan": "10.0.2.1/24", "wg0": "10.9.0.2/30"}, "10.0.1.0/24 dev wg0 scope link")
    assert answer(bench_of(tmp_path).quick(A, B, "80/tcp")) == {"80/tcp": ("YES", "r1 r2", "")}
