"""Packets that can enter the network at one of several routers, and replies that can leave through one of several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import Bench
from tests.bench.small import write_router
from tests.bench.test_next_hops import several

Start = Callable[[Path], Bench]
FAR, CONTAINER, HOST = "198.51.100.7", "172.17.0.2", "10.0.0.10"
STATEFUL = "-P FORWARD DROP\n-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A FORWARD -i lan -j ACCEPT"
both = pytest.mark.parametrize("mode", ["quick", "detailed"])


def pair(network: Path, gw: str = "", backup: str = "", routes: str = "") -> None:
    """Two routers with VRRP on the LAN, and containers behind the first; the arguments are lines of table filter.

    `routes` are more routes of gw-b.
    """
    for name, last, rules in (("gw", 2, gw), ("gw-b", 3, backup)):
        interfaces = {"lan": f"10.0.0.{last}/24", "wan": f"192.0.2.{last}/24"}
        if name == "gw":
            interfaces["docker0"] = "172.17.0.1/16"
        more = "" if name == "gw" else routes
        write_router(network, name, interfaces, f"default via 192.0.2.1 dev wan\n{more}", filter_=rules)


def one(result: dict[str, Any]) -> dict[str, Any]:
    (service,) = result["services"]
    return dict(service)


def asked(bench: Bench, mode: str, source: str, destination: str, service: str = "80/tcp") -> dict[str, Any]:
    return one(getattr(bench, mode)(source, destination, service))


@both
@pytest.mark.parametrize("source", [FAR, "192.0.2.50"])
def test_different_answers_of_two_entries_are_unknown(tmp_path: Path, bench_of: Start, mode: str, source: str) -> None:
    """gw-b sends packets to the containers back to the internet."""
    pair(tmp_path)
    answer = asked(bench_of(tmp_path), mode, source, CONTAINER)
    assert answer["result"] == "UNKNOWN"
    assert "YES for gw:wan" in answer["reason"]
    assert "UNKNOWN for gw-b:wan: 172.17.0.2 belongs to segment 172.17.0.0/16" in answer["reason"]
    assert answer["reason"].endswith("(name it in hosts.yaml)")


@both
def test_the_entry_of_hosts_yaml_is_certain(tmp_path: Path, bench_of: Start, mode: str) -> None:
    pair(tmp_path)
    (tmp_path / "hosts.yaml").write_text("0.0.0.0/0: gw:wan\n")
    answer = asked(bench_of(tmp_path), mode, FAR, CONTAINER)
    assert (answer["result"], answer["path"]) == ("YES", ["gw"])


@both
def test_the_same_answer_of_two_entries_is_certain(tmp_path: Path, bench_of: Start, mode: str) -> None:
    pair(tmp_path, routes="172.17.0.0/16 via 10.0.0.2 dev lan")
    result = getattr(bench_of(tmp_path), mode)(FAR, CONTAINER, "80/tcp")
    assert (one(result)["result"], one(result)["path"], result["depends_on"]) == ("YES", ["gw"], [])
    assert any("YES for gw:wan, gw-b:wan" in caveat for caveat in result["caveats"])


@both
def test_a_router_s_inner_address_can_be_reached_through_the_other_router(
    tmp_path: Path, bench_of: Start, mode: str
) -> None:
    pair(tmp_path, backup="-P FORWARD DROP")
    bench = bench_of(tmp_path)
    answer = asked(bench, mode, FAR, "10.0.0.2", "icmp")
    assert answer["result"] == "UNKNOWN"
    assert "NO for gw-b:wan: blocked by gw-b" in answer["reason"]
    answer = asked(bench, mode, FAR, "192.0.2.2", "icmp")  # the provider is on this subnet
    assert (answer["result"], answer["path"]) == ("YES", ["gw"])


@both
@pytest.mark.parametrize("ecmp", [True, False])
def test_a_router_with_two_providers_can_get_packets_from_both(
    tmp_path: Path, bench_of: Start, mode: str, ecmp: bool
) -> None:
    """The default routes are two next hops of one route, or two routes in different tables."""
    interfaces = {"lan": "10.0.0.1/24", "wan": "192.0.2.2/24", "wan2": "203.0.113.2/24"}
    two = "default via 192.0.2.1 dev wan\ndefault via 203.0.113.1 dev wan2 table 2"
    write_router(tmp_path, "gw", interfaces, "" if ecmp else two, filter_="-A FORWARD -i wan2 -j DROP")
    if ecmp:
        several(tmp_path, "gw", "default nexthop 192.0.2.1 wan nexthop 203.0.113.1 wan2")
    answer = asked(bench_of(tmp_path), mode, FAR, HOST)
    assert answer["result"] == "UNKNOWN"
    assert "for gw:wan" in answer["reason"]
    assert "NO for gw:wan2: blocked by gw" in answer["reason"]


@both
def test_a_private_network_behind_a_partner_s_edge_enters_there(tmp_path: Path, bench_of: Start, mode: str) -> None:
    pair(tmp_path, gw="-P FORWARD DROP")
    interfaces = {"lan": "10.0.0.4/24", "link": "10.99.0.1/30"}
    write_router(tmp_path, "gw-p", interfaces, "172.20.0.0/16 via 10.99.0.2 dev link")
    (tmp_path / "hosts.yaml").write_text("10.0.0.0/24: gw-p\n")
    answer = asked(bench_of(tmp_path), mode, "172.20.5.9", HOST)
    assert (answer["result"], answer["path"]) == ("YES", ["gw-p"]), answer["reason"]


def test_a_reply_through_another_gateway_is_tested(tmp_path: Path, bench_of: Start) -> None:
    """The request enters at gw-b. The host can reply through gw, which has not seen the request."""
    pair(tmp_path, gw=STATEFUL.replace("-A FORWARD -i lan -j ACCEPT", ""))
    (tmp_path / "hosts.yaml").write_text(f"{FAR}: gw-b:wan\n")
    answer = asked(bench_of(tmp_path), "detailed", FAR, HOST)
    assert answer["result"] == "UNKNOWN"
    assert "the answer depends on the gateway of 10.0.0.10: NO for gw:lan (reply): blocked by gw" in answer["reason"]
    assert "on the return path; YES for gw-b:lan (reply) (name it in hosts.yaml)" in answer["reason"]
    for gateway, result in (("gw-b", "YES"), ("gw", "NO")):
        (tmp_path / "hosts.yaml").write_text(f"{FAR}: gw-b:wan\n10.0.0.0/24: {gateway}\n")
        assert asked(bench_of(tmp_path), "detailed", FAR, HOST)["result"] == result


def test_a_reply_from_outside_through_another_edge_is_tested(tmp_path: Path, bench_of: Start) -> None:
    """Without NAT, the provider decides through which router the reply comes."""
    pair(tmp_path, STATEFUL, STATEFUL)
    (tmp_path / "hosts.yaml").write_text("10.0.0.0/24: gw\n")
    answer = asked(bench_of(tmp_path), "detailed", HOST, FAR)
    assert answer["result"] == "UNKNOWN"
    assert "YES for gw:wan (reply); NO for gw-b:wan (reply): blocked by gw-b" in answer["reason"]
    masquerade = "*nat\n-A POSTROUTING -o wan -j MASQUERADE\nCOMMIT\n"
    with (tmp_path / "gw" / "iptables.rules").open("a") as rules:
        rules.write(masquerade)
    assert asked(bench_of(tmp_path), "detailed", HOST, FAR)["result"] == "YES"


def test_each_service_has_its_own_answer(tmp_path: Path, bench_of: Start) -> None:
    pair(tmp_path, backup="-A FORWARD -p tcp -m tcp --dport 22 -j DROP\n-A FORWARD -p tcp -m tcp --sport 443 -j DROP")
    result = bench_of(tmp_path).detailed(FAR, HOST, "80/tcp,22/tcp,443/tcp,53/udp")
    assert [service["result"] for service in result["services"]] == ["YES", "UNKNOWN", "UNKNOWN", "YES"]
    assert [service["port"] for service in result["services"]] == [80, 22, 443, 53]
    reasons = [service["reason"] for service in result["services"]]
    assert "NO for gw-b:wan then gw:lan (reply), gw-b:wan then gw-b:lan (reply): blocked by gw-b" in reasons[1]
    assert "on the return path" in reasons[2]


def test_a_reply_that_may_come_from_another_provider_is_an_assumption(tmp_path: Path, bench_of: Start) -> None:
    interfaces = {"lan": "10.0.0.1/24", "wan": "192.0.2.2/24", "wan2": "203.0.113.2/24"}
    two = "default via 192.0.2.1 dev wan\ndefault via 203.0.113.1 dev wan2 table 2"
    write_router(tmp_path, "gw", interfaces, two)
    result = bench_of(tmp_path).detailed(HOST, FAR, "80/tcp")
    assert one(result)["result"] == "YES"
    assert "assumed that the reply enters at gw:wan (gw:wan2 also possible, but not tested)" in result["depends_on"]


@pytest.mark.parametrize(("drop", "result"), [("", "YES"), ("-P FORWARD DROP", "UNKNOWN")])
def test_entries_without_a_connection_still_have_to_agree(
    tmp_path: Path, bench_of: Start, drop: str, result: str
) -> None:
    """Twenty routers are on the segment of the source. The last one may drop the request."""
    for number in range(2, 22):
        interfaces = {"lan": f"10.0.0.{number}/24", "wan": f"192.0.2.{number}/24"}
        last = drop if number == 21 else ""
        write_router(tmp_path, f"r{number:02}", interfaces, "default via 192.0.2.1 dev wan", filter_=last)
    (tmp_path / "hosts.yaml").write_text(f"{FAR}: r02:wan\n")
    answer = bench_of(tmp_path).detailed("10.0.0.99", FAR, "80/tcp")
    assert one(answer)["result"] == result
    assert ("NO for r21:lan" in (one(answer)["reason"] or "")) == (result == "UNKNOWN")
    what = "only the first 16 of 20 ways of the request and its reply were tested with a connection"
    assert what in answer["depends_on"]


@both
def test_a_reply_from_a_bridge_that_many_routers_have_leaves_there(tmp_path: Path, bench_of: Start, mode: str) -> None:
    for number in (2, 3):
        interfaces = {"docker0": "172.17.0.1/16", "lan": f"10.0.0.{number}/24"}
        write_router(tmp_path, f"d{number}", interfaces, f"10.0.1.0/24 via 10.0.0.{5 - number} dev lan")
    (tmp_path / "hosts.yaml").write_text("10.0.0.0/24: d3\n")
    result = getattr(bench_of(tmp_path), mode)("10.0.0.9", CONTAINER, "80/tcp")
    assert (one(result)["result"], one(result)["path"], result["depends_on"]) == ("YES", ["d3"], [])
