"""Segments, owners and the next hop, from facts alone."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path
from random import Random

import pytest

from netlab.errors import FactsError
from netlab.facts import reader
from netlab.topology.ingress import Ingress, IngressKind
from netlab.topology.next_stop import Delivered, Nowhere, Onward, next_stop
from netlab.topology.on_link import default_gateways
from netlab.topology.segments import IfaceRef
from netlab.topology.topology import Topology
from tests.bench.small import write_router


def topology(folder: Path) -> Topology:
    return Topology(reader.load(folder))


def after(network: Topology, out: str, next_hop: str, destination: str = "") -> object:
    router, _, interface = out.partition(":")
    return next_stop(network, IfaceRef(router, interface), IPv4Address(next_hop), IPv4Address(destination or next_hop))


@pytest.fixture
def small(tmp_path: Path) -> Topology:
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.1/24", "up": "10.9.0.1/29", "wan": "192.0.2.2/30"},
        "default via 192.0.2.1 dev wan",
    )
    write_router(tmp_path, "r2", {"up": "10.9.0.2/29", "lan": "10.0.2.1/24", "wg0": "10.8.0.1/30"})
    write_router(tmp_path, "r3", {"up": "10.9.0.3/29", "wg0": "10.8.0.2/30"})
    return topology(tmp_path)


def test_interfaces_of_one_subnet_share_a_segment(small: Topology) -> None:
    assert [(segment.name, [str(port) for port in segment.ports]) for segment in small.segments] == [
        ("10.0.1.0/24", ["r1:lan"]),
        ("10.0.2.0/24", ["r2:lan"]),
        ("10.8.0.0/30", ["r2:wg0", "r3:wg0"]),
        ("10.9.0.0/29", ["r1:up", "r2:up", "r3:up"]),
        ("192.0.2.0/30", ["r1:wan"]),
    ]


@pytest.mark.parametrize(
    ("out", "next_hop", "destination", "stop"),
    [
        ("r1:up", "10.9.0.2", "10.0.2.9", Onward(IfaceRef("r2", "up"))),
        ("r1:up", "10.9.0.3", "", Onward(IfaceRef("r3", "up"))),
        ("r2:lan", "10.0.2.9", "", Delivered(edge=False)),
        ("r1:wan", "192.0.2.1", "198.51.100.1", Delivered(edge=True)),
        ("r2:wg0", "10.0.77.1", "", Onward(IfaceRef("r3", "wg0"))),
        ("r2:wg0", "10.0.1.1", "", Onward(IfaceRef("r3", "wg0"))),  # owned elsewhere: the far end reports it
    ],
)
def test_who_takes_it(small: Topology, out: str, next_hop: str, destination: str, stop: object) -> None:
    assert after(small, out, next_hop, destination) == stop


@pytest.mark.parametrize(
    ("out", "next_hop", "destination", "why"),
    [
        ("r1:up", "10.9.0.5", "10.0.2.9", "next hop 10.9.0.5 of r1:up belongs to no router on segment"),
        ("r1:up", "10.0.2.1", "10.0.2.9", "next hop 10.0.2.1 belongs to r2:lan, which is not on r1:up's segment"),
        ("r1:lan", "10.0.2.1", "", "destination 10.0.2.1 belongs to r2:lan, which is not on r1:lan's segment"),
        ("r1:lan", "10.77.0.1", "", "is routed as on-link via r1:lan, but is not in segment 10.0.1.0/24"),
        ("r1:up", "172.16.0.1", "10.0.2.9", "next hop 172.16.0.1 of r1:up does not belong on segment"),
        ("r1:none", "10.0.0.1", "", "r1:none has no segment"),
    ],
)
def test_nobody_takes_it(small: Topology, out: str, next_hop: str, destination: str, why: str) -> None:
    stop = after(small, out, next_hop, destination)
    assert isinstance(stop, Nowhere)
    assert why in stop.reason


def test_an_interface_without_carrier_passes_nothing(tmp_path: Path) -> None:
    for number in (1, 2):
        write_router(tmp_path, f"r{number}", {"lan": f"10.0.{number}.1/24", "up": f"10.9.0.{number}/30"})
    network = topology(tmp_path)
    assert after(network, "r1:up", "10.9.0.2", "10.0.2.9") == Onward(IfaceRef("r2", "up"))
    path = tmp_path / "r1" / "addr.json"
    path.write_text(path.read_text().replace('"LOWER_UP"', '"NO-CARRIER"'))
    stop = after(topology(tmp_path), "r1:up", "10.9.0.2", "10.0.2.9")
    assert isinstance(stop, Nowhere)
    assert "r1:up has no carrier" in stop.reason
    stop = after(topology(tmp_path), "r2:up", "10.9.0.1", "10.0.1.9")
    assert isinstance(stop, Nowhere)
    assert "next hop 10.9.0.1 belongs to r1:up, which has no carrier" in stop.reason


def test_point_to_point_peers_meet_across_subnets(tmp_path: Path) -> None:
    for router, local, peer in (("r1", "10.9.0.1", "10.77.0.2"), ("r2", "10.77.0.2", "10.9.0.1")):
        write_router(tmp_path, router, {"ppp0": f"{local}/32"})
        path = tmp_path / router / "addr.json"
        entries = json.loads(path.read_text())
        entries[1]["addr_info"][0]["address"] = peer
        path.write_text(json.dumps(entries))
    (segment,) = topology(tmp_path).segments
    assert [str(port) for port in segment.ports] == ["r1:ppp0", "r2:ppp0"]


def test_subnets_of_one_interface_are_one_segment(tmp_path: Path) -> None:
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24"})
    path = tmp_path / "r1" / "addr.json"
    entries = json.loads(path.read_text())
    entries[1]["addr_info"].append(dict(entries[1]["addr_info"][0], local="10.0.5.1"))
    path.write_text(json.dumps(entries))
    write_router(tmp_path, "r2", {"lan": "10.0.5.2/24"})
    (segment,) = topology(tmp_path).segments
    assert segment.name == "10.0.1.0/24+10.0.5.0/24"
    assert len(segment.ports) == 2


def test_the_longest_prefix_holds_an_address(tmp_path: Path) -> None:
    write_router(tmp_path, "r1", {"wide": "10.0.0.1/16", "narrow": "10.0.7.1/24"})
    network = topology(tmp_path)
    segment = network.segment_holding(IPv4Address("10.0.7.9"))
    assert segment is not None
    assert segment.name == "10.0.7.0/24"
    assert network.segment_holding(IPv4Address("10.1.0.1")) is None


def test_an_address_of_two_routers(tmp_path: Path) -> None:
    for router in ("r1", "r2"):
        write_router(tmp_path, router, {"lan": "10.0.1.1/24"})
    with pytest.raises(FactsError, match=r"r2/addr.json:2: 10.0.1.1 on lan is also on r1:lan"):
        topology(tmp_path)


def test_anycast_on_loopbacks_and_two_of_one_router_are_no_fault(tmp_path: Path) -> None:
    write_router(tmp_path, "r1", {"a": "10.0.1.1/24", "b": "10.0.1.1/25"})
    for router in ("r2", "r3"):
        write_router(tmp_path, router, {"lo": "10.255.0.9/32"})
        (tmp_path / router / "addr.json").write_text(
            json.dumps(json.loads((tmp_path / router / "addr.json").read_text())[1:])
        )
    network = topology(tmp_path)
    assert len(network.owned_by(IPv4Address("10.0.1.1"))) == 2
    assert len(network.owned_by(IPv4Address("10.255.0.9"))) == 2


def test_default_gateways_of_every_table_and_path(tmp_path: Path) -> None:
    write_router(tmp_path, "r1", {"a": "10.0.1.1/24"}, "default via 10.0.1.5 dev a\ndefault via 10.0.1.6 dev a table 9")
    path = tmp_path / "r1" / "routes.json"
    more = [
        {"dst": "default", "nexthops": [{"gateway": "10.0.1.7", "dev": "a"}, {"dev": "a"}]},
        {"dst": "default", "gateway": "fe80::1", "dev": "a"},
        {"dst": "10.0.0.0/8", "gateway": "10.0.1.8", "dev": "a"},
    ]
    path.write_text(json.dumps([*json.loads(path.read_text()), *more]))
    (router,) = reader.load(tmp_path).routers
    assert default_gateways(router) == {IPv4Address(f"10.0.1.{last}") for last in (5, 6, 7)}


@pytest.mark.parametrize("seed", range(5))
def test_segments_do_not_depend_on_the_order_of_things(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    wanted = {f"r{n}": {f"e{k}": f"10.{k}.0.{n}/24" for k in random.sample(range(6), 3)} for n in range(1, 6)}
    seen = []
    for turn in range(2):
        names = list(wanted)
        random.shuffle(names)
        for name in names:
            items = list(wanted[name].items())
            random.shuffle(items)
            write_router(tmp_path / str(turn), name, dict(items))
        network = topology(tmp_path / str(turn))
        seen.append([(segment.name, segment.ports) for segment in network.segments])
        for segment in network.segments:
            for port in segment.ports:
                assert network.segment_of[port] is segment
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("kind", "port", "text"),
    [
        (IngressKind.PORT, None, ""),
        (IngressKind.DIRECT, IfaceRef("r1", "lan"), "no router is between"),
        (IngressKind.UNKNOWN, None, ""),
    ],
)
def test_an_ingress_with_contradictory_fields_cannot_be_made(
    kind: IngressKind, port: IfaceRef | None, text: str
) -> None:
    with pytest.raises(ValueError, match=kind.value):
        Ingress(kind, port, text)


def test_a_gateway_outside_the_subnet_is_on_the_wire_of_its_route(tmp_path: Path) -> None:
    write_router(
        tmp_path, "vm", {"eth0": "203.0.113.10/32"}, "172.31.1.1 dev eth0 scope link\ndefault via 172.31.1.1 dev eth0"
    )
    write_router(tmp_path, "vm2", {"eth0": "203.0.113.20/32"}, "default via 172.31.1.1 dev eth0 onlink")
    network = topology(tmp_path)
    assert len(network.segments) == 2, "the same gateway address does not join two servers"
    for router in ("vm", "vm2"):
        assert after(network, f"{router}:eth0", "172.31.1.1", "198.51.100.1") == Delivered(edge=True)


def test_the_owner_of_a_gateway_is_on_the_wire_of_the_route(tmp_path: Path) -> None:
    write_router(tmp_path, "wide", {"lan": "10.0.0.1/16"}, "10.7.0.0/16 via 10.0.5.1 dev lan")
    write_router(tmp_path, "narrow", {"lan": "10.0.5.1/24", "far": "10.7.0.1/16"})
    network = topology(tmp_path)
    assert after(network, "wide:lan", "10.0.5.1", "10.7.0.9") == Onward(IfaceRef("narrow", "lan"))


@pytest.mark.parametrize(
    ("address", "route", "delivered"),
    [
        ("", "10.244.1.5 dev x scope link", True),
        ("10.9.9.9/32", "10.244.1.0/24 dev x scope link", True),
        ("10.9.9.9/24", "10.244.1.5 dev x scope link", True),
        ("10.9.9.9/24", "10.244.1.0/24 dev x scope link", False),  # a forgotten gateway
        ("", "10.0.2.0/24 dev x scope link", False),  # r2 has that subnet
        ("", "10.0.2.5 dev x scope link", False),
        ("", "10.0.0.0/8 dev x scope link", False),
    ],
)
def test_hosts_that_only_routes_show(tmp_path: Path, address: str, route: str, delivered: bool) -> None:
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "x": address or "10.99.0.1/32"}, route)
    write_router(tmp_path, "r2", {"lan": "10.0.2.1/24"})
    if not address:
        path = tmp_path / "r1" / "addr.json"
        entries = json.loads(path.read_text())
        entries[-1]["addr_info"] = []
        path.write_text(json.dumps(entries))
    destination = route.split()[0].split("/")[0].removesuffix(".0") + (".5" if "/" in route else "")
    stop = after(topology(tmp_path), "r1:x", destination)
    assert (stop == Delivered(edge=False)) is delivered
