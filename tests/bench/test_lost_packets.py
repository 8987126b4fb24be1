"""Packets that every rule accepts and that still do not arrive, and replies that bypass their NAT."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import Bench
from tests.bench.small import write_router

Start = Callable[[Path], Bench]
MODES = ("quick", "detailed")


def only(document: dict[str, Any]) -> dict[str, Any]:
    (service,) = document["services"]
    return dict(service)


def ask(bench: Bench, mode: str, source: str, destination: str, service: str) -> dict[str, Any]:
    put = bench.quick if mode == "quick" else bench.detailed
    return put(source, destination, service)


def dnat(to: str) -> str:
    return f"""*nat
    :PREROUTING ACCEPT [0:0]
    -A PREROUTING -d 10.0.2.10/32 -p udp -j DNAT --to-destination {to}
    -A PREROUTING -d 10.0.2.10/32 -p tcp -j DNAT --to-destination {to}
    COMMIT"""


@pytest.mark.parametrize("to", ["10.0.2.0", "10.0.2.255", "10.9.0.3", "224.0.0.5", "127.0.0.1", "255.255.255.255"])
def test_dnat_to_an_address_that_no_host_can_have(tmp_path: Path, bench_of: Start, to: str) -> None:
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "up": "10.9.0.1/30"}, "10.0.2.0/24 via 10.9.0.2 dev up")
    write_router(
        tmp_path,
        "r2",
        {"up": "10.9.0.2/30", "srv": "10.0.2.1/24"},
        "10.0.1.0/24 via 10.9.0.1 dev up",
        iptables=dnat(to),
    )
    bench = bench_of(tmp_path)
    for mode in MODES:
        for service in ("443/tcp", "53/udp"):
            document = ask(bench, mode, "10.0.1.10", "10.0.2.10", service)
            assert only(document)["result"] == "NO", document
            assert only(document)["reason"]
            assert only(document)["ended"]["router"] == "r2"
            assert only(document)["blocked_by"] == ["r2"]
            assert document["routers"][-1]["services"][0]["result"] == "NO"


@pytest.mark.parametrize("mode", MODES)
def test_a_router_that_loses_the_packet_says_no_in_its_cell(tmp_path: Path, bench_of: Start, mode: str) -> None:
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.1/24", "core": "10.9.0.1/24"},
        "10.0.2.0/24 via 10.9.0.2 dev core\n10.0.3.0/24 via 10.9.0.7 dev core\n10.0.4.0/24 via 10.9.0.2 dev core table 7",
        rules=[{"priority": 100, "src": "all", "fwmark": "0x4", "table": "7"}],
        iptables="""*mangle
        :PREROUTING ACCEPT [0:0]
        -A PREROUTING -d 10.0.4.0/24 -j MARK --set-xmark 0x4/0xffffffff
        COMMIT""",
    )
    write_router(
        tmp_path,
        "r2",
        {"core": "10.9.0.2/24", "srv": "10.0.2.1/24"},
        "10.0.1.0/24 via 10.9.0.1 dev core\n10.0.4.0/24 dev srv scope link",
    )
    bench = bench_of(tmp_path)
    for destination, path, route in (
        ("10.0.3.9", ["r1"], "(route 10.0.3.0/24 via 10.9.0.7 dev core, r1/routes.json:4)"),
        ("10.0.4.9", ["r1", "r2"], "(route 10.0.4.0/24 dev srv, r2/routes.json:4)"),
    ):
        document = ask(bench, mode, "10.0.1.10", destination, "443/tcp")
        service = only(document)
        assert (service["result"], service["path"], service["blocked_by"]) == ("NO", path, path[-1:])
        assert route in service["reason"]
        assert service["ended"]["cause"] == "route"
        assert [router["services"][0]["result"] for router in document["routers"]] == ["YES"] * (len(path) - 1) + ["NO"]


@pytest.mark.parametrize("mode", MODES)
def test_a_packet_with_a_destination_inside_that_leaves_is_unknown(tmp_path: Path, bench_of: Start, mode: str) -> None:
    write_router(
        tmp_path,
        "a",
        {"lan": "10.0.1.1/24", "wan": "198.51.100.2/30", "tun0": "172.16.0.1/30"},
        "default via 198.51.100.1 dev wan\n10.0.3.0/24 dev tun0 scope link",
    )
    write_router(tmp_path, "b", {"lan": "10.0.2.1/24", "dmz": "10.0.3.1/24", "lo1": "10.5.5.5/32"})
    bench = bench_of(tmp_path)
    for destination, why in (
        ("10.0.2.9", "10.0.2.9 belongs to segment 10.0.2.0/24, but the packet leaves the network at a:wan"),
        ("10.5.5.5", "10.5.5.5 is b's own address, but the packet leaves the network at a:wan"),
        ("10.0.3.9", "10.0.3.9 belongs to segment 10.0.3.0/24, but the packet leaves the network at a:tun0"),
    ):
        service = only(ask(bench, mode, "10.0.1.10", destination, "443/tcp"))
        assert service["result"] == "UNKNOWN"
        assert why in service["reason"]
        assert "a/routes.json:" in service["reason"]
    assert only(ask(bench, mode, "10.0.1.10", "8.8.8.8", "443/tcp"))["result"] == "YES"


def hairpin(tmp_path: Path, more: str = "") -> None:
    write_router(
        tmp_path,
        "rt",
        {"lan": "192.168.0.1/24", "wan": "198.51.100.34/24"},
        "default via 198.51.100.1 dev wan",
        iptables=f"""*nat
        :PREROUTING ACCEPT [0:0]
        :POSTROUTING ACCEPT [0:0]
        -A PREROUTING -d 198.51.100.34/32 -p tcp -m tcp --dport 22 -j DNAT --to-destination 192.168.0.100:22
        -A PREROUTING -d 198.51.100.34/32 -p udp -j DNAT --to-destination 192.168.0.100
        -A PREROUTING -d 198.51.100.34/32 -p icmp -j DNAT --to-destination 192.168.0.100
        {more}
        COMMIT""",
    )


def test_a_hairpin_without_snat_fails_for_each_protocol(tmp_path: Path, bench_of: Start) -> None:
    hairpin(tmp_path)
    bench = bench_of(tmp_path)
    for service in ("22/tcp", "53/udp", "icmp"):
        for source, why in (("192.168.0.7", "the reply goes directly to"), ("192.168.0.100", "back to its sender")):
            quick, real = (
                bench.quick(source, "198.51.100.34", service),
                bench.detailed(source, "198.51.100.34", service),
            )
            assert only(quick)["result"] == "YES"
            assert any(why in caveat for caveat in quick["caveats"])
            assert only(real)["result"] == "NO", real
            assert why in only(real)["reason"]
            assert (only(real)["blocked"], only(real)["ended"]["cause"]) == ("reply", "no-reply")


def test_a_hairpin_with_snat_works(tmp_path: Path, bench_of: Start) -> None:
    hairpin(tmp_path, "-A POSTROUTING -s 192.168.0.0/24 -o lan -j MASQUERADE")
    bench = bench_of(tmp_path)
    for service in ("22/tcp", "53/udp", "icmp"):
        quick, real = (ask(bench, mode, "192.168.0.7", "198.51.100.34", service) for mode in MODES)
        assert (only(quick)["result"], len(quick["caveats"])) == ("YES", 1)
        assert quick["caveats"][0].startswith("forwarding is assumed")
        assert only(real)["result"] == "YES", real


def test_a_reply_through_another_router_bypasses_the_dnat(tmp_path: Path, bench_of: Start) -> None:
    write_router(
        tmp_path,
        "r0",
        {"lan": "10.0.1.1/24", "up": "10.9.0.1/24"},
        "10.7.7.7 via 10.9.0.2 dev up\n10.0.2.0/24 via 10.9.0.2 dev up",
    )
    write_router(
        tmp_path,
        "nat",
        {"up": "10.9.0.2/24", "srv": "10.0.2.1/24"},
        "10.0.1.0/24 via 10.9.0.1 dev up",
        iptables="""*nat
        :PREROUTING ACCEPT [0:0]
        -A PREROUTING -d 10.7.7.7/32 -j DNAT --to-destination 10.0.2.10
        COMMIT""",
    )
    write_router(tmp_path, "back", {"up": "10.9.0.3/24", "srv": "10.0.2.2/24"}, "10.0.1.0/24 via 10.9.0.1 dev up")
    real = only(bench_of(tmp_path).detailed("10.0.1.10", "10.7.7.7", "443/tcp"))
    assert real["result"] == "UNKNOWN"
    assert "the gateway of 10.0.2.10: NO for back:srv (reply): the reply arrives from 10.0.2.10" in real["reason"]
    assert "YES for nat:srv (reply)" in real["reason"]
    (tmp_path / "hosts.yaml").write_text("10.0.2.0/24: back\n")
    bench = bench_of(tmp_path)
    for service in ("443/tcp", "53/udp", "icmp"):
        real = only(bench.detailed("10.0.1.10", "10.7.7.7", service))
        assert (real["result"], real["reply_path"]) == ("NO", ["back", "r0"]), real
        assert "it does not pass nat, which would have to undo its NAT" in real["reason"]
        assert real["blocked"] == "reply"


@pytest.mark.parametrize(
    ("all_", "own", "result"),
    [("off", "strict", "NO"), ("strict", "off", "NO"), ("loose", "strict", "YES"), ("off", "off", "YES")],
)
def test_the_reverse_path_filter_of_netconf(tmp_path: Path, bench_of: Start, all_: str, own: str, result: str) -> None:
    write_router(tmp_path, "r0", {"lan": "10.0.1.1/24", "up": "10.8.0.1/24"}, "10.0.2.0/24 via 10.8.0.2 dev up")
    write_router(
        tmp_path,
        "r1",
        {"up": "10.8.0.2/24", "c": "10.9.0.2/24", "srv": "10.0.2.1/24"},
        "10.0.1.0/24 via 10.9.0.9 dev c",
    )
    settings = [("all", all_), ("up", own), ("c", "off"), ("srv", "off")]
    (tmp_path / "r1" / "netconf.json").write_text(
        json.dumps([{"family": "inet", "interface": i, "forwarding": True, "rp_filter": f} for i, f in settings])
    )
    service = only(bench_of(tmp_path).quick("10.0.1.10", "10.0.2.10", "443/tcp"))
    assert service["result"] == result
    if result == "NO":
        assert "the strict rp_filter of up (r1/netconf.json:1) drops packets from 10.0.1.10" in service["reason"]


def test_an_interface_that_does_not_forward(tmp_path: Path, bench_of: Start) -> None:
    write_router(tmp_path, "r1", {"a": "10.0.1.1/24", "b": "10.0.2.1/24"})
    settings = [("all", True), ("a", False), ("b", True)]
    (tmp_path / "r1" / "netconf.json").write_text(
        json.dumps([{"family": "inet", "interface": i, "forwarding": f, "rp_filter": "off"} for i, f in settings])
    )
    bench = bench_of(tmp_path)
    service = only(bench.quick("10.0.1.10", "10.0.2.10", "443/tcp"))
    assert (service["result"], service["blocked_by"]) == ("NO", ["r1"])
    back = bench.quick("10.0.2.10", "10.0.1.10", "443/tcp")
    assert (only(back)["result"], back["caveats"]) == ("YES", [])
    real = only(bench.detailed("10.0.2.10", "10.0.1.10", "443/tcp"))
    assert (real["result"], real["blocked"]) == ("NO", "reply")


@pytest.mark.parametrize("mode", MODES)
def test_every_router_that_forwards_without_netconf_is_named(tmp_path: Path, bench_of: Start, mode: str) -> None:
    """r0 has one interface and sends the packet back to the segment that it came from; r1 receives or drops some."""
    write_router(tmp_path, "r0", {"lan": "10.0.1.1/24"}, "default via 10.0.1.2 dev lan")
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.2/24", "srv": "10.0.2.1/24"},
        filter_="""-P FORWARD DROP
        -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT
        -A FORWARD -p tcp --dport 80 -j ACCEPT""",
    )
    (tmp_path / "hosts.yaml").write_text("10.0.1.10: r0\n")
    bench = bench_of(tmp_path)
    for destination, service, routers in (
        ("10.0.2.10", "80/tcp", "r0, r1"),
        ("10.0.2.10", "81/tcp", "r0"),
        ("10.0.1.2", "80/tcp", ""),
    ):
        caveats = getattr(bench, mode)("10.0.1.10", destination, service)["caveats"]
        named = [caveat for caveat in caveats if caveat.startswith("forwarding is assumed")]
        right = f"forwarding is assumed to be on and rp_filter off, without netconf.json: {routers}"
        assert named == ([right] if routers else [])


@pytest.mark.parametrize("mode", MODES)
def test_a_private_source_in_no_known_subnet_has_a_caveat(tmp_path: Path, bench_of: Start, mode: str) -> None:
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.1/24", "wan": "198.51.100.2/24"},
        "default via 198.51.100.1 dev wan\n10.50.0.0/16 via 198.51.100.1 dev wan",
    )
    bench = bench_of(tmp_path)
    for source, caveat in (("10.0.11.10", True), ("10.50.0.7", False), ("8.8.8.8", False), ("10.0.1.10", False)):
        document = ask(bench, mode, source, "10.0.1.20", "443/tcp")
        assert (
            any(
                "is a private address, but no known subnet or route contains it" in text
                for text in document["depends_on"]
            )
            == caveat
        )


@pytest.mark.parametrize(
    ("routes", "result", "reason", "sentence"),
    [
        (
            "default via 198.51.100.254 dev wan",
            "UNKNOWN",
            "r2 sends the reply to 198.51.100.254 on wan: 10.0.1.10 belongs to segment 10.0.1.0/24, "
            "but the packet leaves the network at r2:wan",
            "has an unknown result: r2 sends the reply to 198.51.100.254 on wan",
        ),
        ("", "NO", "r2: no route to 10.0.1.10", "the reply is stopped by r2: no route to 10.0.1.10."),
        (
            "unreachable 10.0.1.0/24",
            "NO",
            "r2: unreachable route to 10.0.1.10",
            "the reply is stopped by r2: unreachable route to 10.0.1.10.",
        ),
    ],
)
def test_a_reply_that_is_lost_has_its_cause(
    tmp_path: Path, bench_of: Start, routes: str, result: str, reason: str, sentence: str
) -> None:
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "up": "10.9.0.1/30"}, "10.0.2.0/24 via 10.9.0.2 dev up")
    interfaces = {"down": "10.9.0.2/30", "srv": "10.0.2.1/24", "wan": "198.51.100.1/24"}
    write_router(tmp_path, "r2", interfaces, routes)
    (service,) = bench_of(tmp_path).detailed("10.0.1.10", "10.0.2.10", "80/tcp")["services"]
    assert (service["result"], service["reason"], service["reply_path"]) == (result, reason, ["r2"])
    assert sentence in service["sentence"]
