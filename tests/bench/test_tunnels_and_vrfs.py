"""Tunnels with several far ends, interfaces that many routers have alike, VRFs, and the output of `ip -d`."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from netlab.errors import FactsError
from netlab.facts import reader
from netlab.topology.next_stop import Delivered, Nowhere, Onward, Unclear, next_stop
from netlab.topology.segments import IfaceRef
from netlab.topology.topology import Topology
from tests.bench.conftest import Bench
from tests.bench.small import write_router

Start = Callable[[Path], Bench]
HUB, TWO, THREE, PHONE = ("A" * 42 + letter + "=" for letter in "ABCD")


def edit(network: Path, router: str, file: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = network / router / file
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))


def after(network: Path, router: str, interface: str, destination: str, next_hop: str = "") -> object:
    out, hop = IfaceRef(router, interface), IPv4Address(next_hop or destination)
    return next_stop(Topology(reader.load(network)), out, hop, IPv4Address(destination))


def hub_and_spokes(network: Path, wireguard: dict[str, str]) -> None:
    """A hub and two spokes on one WireGuard subnet, each with a LAN."""
    for router, last in (("hub", 1), ("s2", 2), ("s3", 3)):
        far = "\n".join(f"10.0.{n}.0/24 dev wg0 scope link" for n in (1, 2, 3) if n != last)
        write_router(network, router, {"lan": f"10.0.{last}.1/24", "wg0": f"10.9.0.{last}/24"}, far)
        if router in wireguard:
            (network / router / "wireguard.txt").write_text(wireguard[router])


ALLOWED = {
    "hub": f"wg0\t{TWO}\t10.9.0.2/32 10.0.2.0/24\n"
    f"wg0\t{THREE}\t10.9.0.3/32 10.0.3.0/24\nwg0\t{PHONE}\t10.9.0.9/32 fd00::9/128\n",
    "s2": f"wg0\t{HUB}\t10.9.0.0/24 10.0.0.0/16\n",
    "s3": f"wg0\t{HUB}\t10.9.0.0/24 10.0.0.0/16\n",
}


@pytest.mark.parametrize("mode", ["quick", "detailed"])
def test_the_peers_of_wireguard_show_the_path(tmp_path: Path, bench_of: Start, mode: str) -> None:
    hub_and_spokes(tmp_path, ALLOWED)
    bench = bench_of(tmp_path)
    for source, destination, path in (
        ("10.0.1.10", "10.0.2.10", ["hub", "s2"]),
        ("10.0.2.10", "10.0.3.10", ["s2", "hub", "s3"]),
        ("10.0.2.10", "10.9.0.3", ["s2", "hub", "s3"]),
    ):
        result = getattr(bench, mode)(source, destination, "80/tcp")
        assert (result["services"][0]["result"], result["services"][0]["path"]) == ("YES", path)
        assert result["depends_on"] == []


def test_an_address_that_no_peer_has_is_not_sent(tmp_path: Path) -> None:
    hub_and_spokes(tmp_path, ALLOWED)
    stop = after(tmp_path, "hub", "wg0", "10.0.77.1")
    assert isinstance(stop, Nowhere)
    assert "no peer of hub:wg0 has 10.0.77.1 in its allowed addresses (hub/wireguard.txt)" in stop.reason
    assert after(tmp_path, "hub", "wg0", "10.9.0.9") == Delivered(edge=False)


@pytest.mark.parametrize("mode", ["quick", "detailed"])
def test_a_source_that_the_receiver_does_not_allow_is_dropped(tmp_path: Path, bench_of: Start, mode: str) -> None:
    only_itself = ALLOWED["hub"].replace("10.9.0.2/32 10.0.2.0/24", "10.9.0.2/32")
    hub_and_spokes(tmp_path, {**ALLOWED, "hub": only_itself})
    bench = bench_of(tmp_path)
    (service,) = getattr(bench, mode)("10.0.2.10", "10.0.1.10", "80/tcp")["services"]
    assert service["result"] == "NO"
    assert "hub:wg0 drops packets from 10.0.2.10" in service["reason"]
    assert "(hub/wireguard.txt)" in service["reason"]
    (allowed,) = getattr(bench, mode)("10.0.3.10", "10.0.1.10", "80/tcp")["services"]
    assert allowed["result"] == "YES"


def test_a_reply_that_the_receiver_does_not_allow_is_dropped(tmp_path: Path, bench_of: Start) -> None:
    """A request past the tunnel, its reply through it: the peer does not allow the address that the reply comes from.

    Fails when only the request's source is compared with the allowed addresses.
    """
    for router, last in (("hub", 1), ("s2", 2)):
        write_router(
            tmp_path,
            router,
            {"lan": f"10.0.{last}.1/24", "wan": f"192.0.2.{last}/24", "wg0": f"10.9.0.{last}/24"},
            f"10.0.{3 - last}.0/24 dev wg0 scope link",
        )
    (tmp_path / "hub" / "wireguard.txt").write_text(f"wg0\t{TWO}\t10.9.0.2/32 10.0.2.0/24\n")
    (tmp_path / "s2" / "wireguard.txt").write_text(f"wg0\t{HUB}\t10.9.0.0/24 10.0.1.0/24\n")
    bench = bench_of(tmp_path)
    for service in ("80/tcp", "53/udp", "icmp"):
        assert bench.quick("10.0.2.10", "192.0.2.1", service)["verdict"] == "YES"
        (answer,) = bench.detailed("10.0.2.10", "192.0.2.1", service)["services"]
        assert (answer["result"], answer["blocked"], answer["outcome"]) == ("NO", "reply", "TIMEOUT")
        assert "s2:wg0 drops packets from 192.0.2.1" in answer["reason"]
        assert answer["latency_ms"] is None
    assert bench.detailed("10.0.2.10", "10.9.0.1", "80/tcp")["verdict"] == "YES"


@pytest.mark.parametrize("mode", ["quick", "detailed"])
def test_a_peer_that_is_a_host_enters_at_its_only_router(tmp_path: Path, bench_of: Start, mode: str) -> None:
    """A road warrior is on the subnet of the tunnel, but not on one wire with the other peers of its hub."""
    hub_and_spokes(tmp_path, ALLOWED)
    (tmp_path / "hub" / "iptables.rules").write_text("*filter\n-A FORWARD -i wg0 -p tcp --dport 22 -j DROP\nCOMMIT\n")
    bench = bench_of(tmp_path)
    for destination, service, result, path in (
        ("10.9.0.2", "22/tcp", "NO", ["hub"]),
        ("10.9.0.2", "80/tcp", "YES", ["hub", "s2"]),
        ("10.9.0.1", "22/tcp", "YES", ["hub"]),
        ("10.0.3.10", "80/tcp", "YES", ["hub", "s3"]),
    ):
        (answer,) = getattr(bench, mode)("10.9.0.9", destination, service)["services"]
        assert (answer["result"], [name for name in answer["path"] if result == "YES" or name == "hub"]) == (
            result,
            path,
        )


def test_a_host_on_a_tunnel_without_wireguard_txt_can_enter_at_each_end(tmp_path: Path, bench_of: Start) -> None:
    hub_and_spokes(tmp_path, {})
    result = bench_of(tmp_path).quick("10.9.0.9", "10.9.0.2", "80/tcp")
    assert result["verdict"] == "YES"
    assert any("the same whatever the gateway of 10.9.0.9 is (YES for s2:wg0, " in text for text in result["caveats"])


def test_several_far_ends_without_wireguard_txt(tmp_path: Path) -> None:
    hub_and_spokes(tmp_path, {})
    stop = after(tmp_path, "hub", "wg0", "10.0.2.10")
    assert isinstance(stop, Onward)
    assert stop.port == IfaceRef("s2", "wg0")
    assert "add hub/wireguard.txt" in stop.note
    assert isinstance(after(tmp_path, "hub", "wg0", "198.51.100.1"), Unclear)


@pytest.mark.parametrize(
    "line", ["wg0 key 10.0.0.0/8", f"wg0\t{HUB}", f"wg0\t{HUB}\t10.0.0.0/8;reboot", "peer: x", f"wg 0\t{HUB}\t(none)"]
)
def test_what_wg_never_prints_is_refused(tmp_path: Path, line: str) -> None:
    hub_and_spokes(tmp_path, {"hub": ALLOWED["hub"] + line + "\n"})
    with pytest.raises(FactsError, match=r"hub/wireguard.txt:4: .* `wg show all allowed-ips` prints it"):
        reader.load(tmp_path)


def test_a_mesh_of_single_addresses(tmp_path: Path) -> None:
    write_router(tmp_path, "hub", {"wg0": "10.9.0.1/32"}, "10.9.0.2 dev wg0 scope link\n10.9.0.3 dev wg0 scope link")
    for last in (2, 3):
        routes = "10.9.0.0/24 dev wg0 scope link"
        write_router(tmp_path, f"s{last}", {"wg0": f"10.9.0.{last}/32", "lan": f"10.0.{last}.1/24"}, routes)
    assert after(tmp_path, "hub", "wg0", "10.9.0.2") == Onward(IfaceRef("s2", "wg0"))
    stop = after(tmp_path, "hub", "wg0", "10.0.3.9")
    assert isinstance(stop, Onward)
    assert stop.port == IfaceRef("s3", "wg0")


@pytest.mark.parametrize("mode", ["quick", "detailed"])
def test_openvpn_net30(tmp_path: Path, bench_of: Start, mode: str) -> None:
    server = "10.8.0.0/24 via 10.8.0.2 dev tun0\n10.0.2.0/24 via 10.8.0.2 dev tun0\n10.0.3.0/24 via 10.8.0.2 dev tun0"
    write_router(tmp_path, "srv", {"lan": "10.0.1.1/24", "tun0": "10.8.0.1/32"}, server)
    for name, local, peer, lan in (("c2", "10.8.0.6", "10.8.0.5", 2), ("c3", "10.8.0.10", "10.8.0.9", 3)):
        routes = f"10.8.0.1 via {peer} dev tun0\n10.0.1.0/24 via {peer} dev tun0"
        write_router(tmp_path, name, {"lan": f"10.0.{lan}.1/24", "tun0": f"{local}/32"}, routes)
        _peer(tmp_path, name, local, peer)
    _peer(tmp_path, "srv", "10.8.0.1", "10.8.0.2")
    result = getattr(bench_of(tmp_path), mode)("10.0.1.9", "10.0.3.9", "80/tcp")
    assert (result["services"][0]["result"], result["services"][0]["path"]) == ("YES", ["srv", "c3"])
    assert any("assumed that srv:tun0 passes 10.0.3.9 to c3:tun0" in text for text in result["depends_on"])


def _peer(network: Path, router: str, local: str, peer: str) -> None:
    """Give tun0 the far end `peer`, as OpenVPN does, with the connected route of the kernel."""
    edit(network, router, "addr.json", lambda entries: entries[-1]["addr_info"][0].update(address=peer))
    edit(network, router, "routes.json", lambda entries: entries[1].update(dst=peer, prefsrc=local))


def two_with(network: Path, interface: str, address: str, routes: str = "", flags: list[str] | None = None) -> None:
    for last in (1, 2):
        write_router(network, f"d{last}", {"eth0": f"10.0.0.{last}/24", interface: address})
        if flags:
            edit(network, f"d{last}", "addr.json", lambda entries: entries[-1].update(flags=flags))
    write_router(network, "r3", {"eth0": "10.0.0.3/24"}, routes)


@pytest.mark.parametrize("name", ["docker0", "virbr0", "lxdbr0", "cni0", "cni-podman0", "br-0123456789ab"])
def test_local_bridges_are_separate_segments(tmp_path: Path, name: str) -> None:
    two_with(tmp_path, name, "172.17.0.1/16")
    assert [len(segment.ports) for segment in Topology(reader.load(tmp_path)).segments] == [3, 1, 1]


@pytest.mark.parametrize(("name", "routes"), [("eth1", ""), ("docker0", "172.17.0.0/16 via 10.0.0.1 dev eth0")])
def test_the_same_address_on_other_interfaces_is_refused(tmp_path: Path, name: str, routes: str) -> None:
    two_with(tmp_path, name, "172.17.0.1/16", routes)
    with pytest.raises(FactsError, match="is also on d1"):
        Topology(reader.load(tmp_path))


def test_an_address_of_ipvs_may_be_on_many_routers(tmp_path: Path, bench_of: Start) -> None:
    flags = ["BROADCAST", "NOARP", "UP", "LOWER_UP"]
    two_with(tmp_path, "kube-ipvs0", "10.96.0.1/32", "10.96.0.1 via 10.0.0.2 dev eth0", flags)
    bench = bench_of(tmp_path)
    assert bench.quick("10.0.0.3", "10.96.0.1", "80/tcp")["services"][0]["path"] == ["r3", "d2"]
    result = bench.quick("10.96.0.1", "10.0.0.9", "80/tcp")
    assert any("the router that sends from 10.96.0.1 is" in caveat for caveat in result["caveats"])


def test_nexthop_objects_as_ip_d_prints_them(tmp_path: Path, bench_of: Start) -> None:
    write_router(tmp_path, "gw", {"lan": "10.0.1.1/24", "up": "10.0.2.1/24"})
    more = {"type": "unicast", "table": "main", "protocol": "boot", "scope": "global", "flags": []}
    info = {"scope": "global", "protocol": "unspec", "flags": []}
    hops = [{"gateway": f"10.0.2.{last}", "dev": "up", "weight": 1, "flags": []} for last in (254, 253)]
    one = {"nhid": 10, "gateway": "10.0.2.254", "dev": "up", "nh_info": {**info, "id": 10, "gateway": "10.0.2.254"}}
    group = {"nhid": 20, "nexthops": hops, "nh_info": {**info, "id": 20, "group": [{"id": 10}, {"id": 11}]}}
    black = {"nhid": 30, "dev": "lo", "type": "blackhole", "nh_info": {**info, "id": 30, "blackhole": None}}

    def routes(entries: list[dict[str, Any]]) -> None:
        listed: list[tuple[int, dict[str, Any]]] = [(9, one), (8, group), (7, black)]
        entries += [{**more, "dst": f"10.{n}.0.0/16", **data} for n, data in listed]

    edit(tmp_path, "gw", "routes.json", routes)
    edit(tmp_path, "gw", "addr.json", lambda entries: entries[-1].update(linkinfo={"info_kind": "veth"}, promiscuity=0))
    bench = bench_of(tmp_path)
    results = [bench.quick("10.0.1.9", f"10.{n}.0.1", "80/tcp")["services"][0]["result"] for n in (9, 8, 7)]
    assert results == ["YES", "YES", "NO"]


def with_vrf(network: Path, *, detailed_dump: bool) -> None:
    """A router with eth9 in VRF mgmt, and a route of the main table that leads into it."""
    write_router(
        network,
        "gw",
        {"lan": "10.0.1.1/24", "srv": "10.0.2.1/24", "eth9": "192.168.9.1/24", "mgmt": "10.99.99.99/32"},
        "10.77.0.0/16 dev mgmt scope link",
    )

    def addresses(entries: list[dict[str, Any]]) -> None:
        entries[-2]["master"] = "mgmt"
        entries[-1].update(flags=["NOARP", "MASTER", "UP", "LOWER_UP"], addr_info=[])
        if detailed_dump:
            entries[-2]["linkinfo"] = {
                "info_kind": "veth",
                "info_slave_kind": "vrf",
                "info_slave_data": {"table": 1001},
            }
            entries[-1]["linkinfo"] = {"info_kind": "vrf", "info_data": {"table": 1001}}

    def routes(entries: list[dict[str, Any]]) -> None:
        entries[:] = [entry for entry in entries if entry["dst"] != "10.99.99.99/32"]
        for entry in entries:
            if entry["dev"] == "eth9":
                entry["table"] = "1001"
        entries.append({"dst": "default", "gateway": "192.168.9.254", "dev": "eth9", "table": "1001", "flags": []})
        entries.append(
            {"type": "unreachable", "dst": "default", "dev": "lo", "table": "1001", "metric": 4278198272, "flags": []}
        )

    edit(network, "gw", "addr.json", addresses)
    edit(network, "gw", "routes.json", routes)
    (network / "gw" / "rules.json").write_text(
        '[{"priority": 0, "src": "all", "table": "local"}, {"priority": 1000, "src": "all", "l3mdev": null},'
        ' {"priority": 1500, "src": "10.0.1.66", "table": "1001"},'
        ' {"priority": 32766, "src": "all", "table": "main"}, {"priority": 32767, "src": "all", "table": "default"}]'
    )


@pytest.mark.parametrize("detailed_dump", [False, True])
@pytest.mark.parametrize("mode", ["quick", "detailed"])
def test_a_path_through_a_vrf_is_unknown(tmp_path: Path, bench_of: Start, mode: str, detailed_dump: bool) -> None:
    with_vrf(tmp_path, detailed_dump=detailed_dump)
    ask = getattr(bench_of(tmp_path), mode)
    result = ask("10.0.1.9", "10.0.2.9", "80/tcp")
    assert result["services"][0]["result"] == "YES"
    assert any("mgmt is a VRF: its interfaces (eth9) and routes are left out" in caveat for caveat in result["caveats"])
    for source, destination, reason in (
        ("10.0.1.9", "10.77.0.1", "gw:mgmt is in VRF mgmt"),
        ("10.0.1.66", "198.51.100.1", "is in VRF mgmt"),
        ("192.168.9.7", "10.0.1.9", "source 192.168.9.7 is in VRF mgmt of gw"),
        ("10.0.1.9", "192.168.9.1", "destination 192.168.9.1 is in VRF mgmt of gw"),
    ):
        (service,) = ask(source, destination, "80/tcp")["services"]
        assert service["result"] == "UNKNOWN", service
        assert reason in service["reason"]
