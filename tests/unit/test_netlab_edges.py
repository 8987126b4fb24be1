"""Where packets can enter the network: the edges and the gateways, from facts and their routing tables."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from netlab.facts import reader
from netlab.topology.edges import find_edges
from netlab.topology.ingress import Ingress, find_ingress
from netlab.topology.on_link import hops
from netlab.topology.segments import IfaceRef
from netlab.topology.topology import Topology
from tests.bench.small import write_router
from tests.bench.test_next_hops import several

FAR = "198.51.100.7"
Hops = list[tuple[IfaceRef, IPv4Address]]


class MainTable:
    """Looks up routes in table main of the facts, as the kernel does for packets without marks and policy rules."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    def hops(self, name: str, destination: IPv4Address) -> tuple[IPv4Network | None, Hops]:
        router = self._topology.routers[name]
        best: tuple[IPv4Network | None, Hops] = None, []
        found = [(address.network, [(i.name, "")]) for i in router.interfaces for address in i.addresses]
        for route in router.routes:
            if route.data.get("table", "main") == "main":
                network = IPv4Network(str(route.data["dst"]).replace("default", "0.0.0.0/0"))
                found.append((network, [(hop["dev"], hop.get("gateway", "")) for hop in hops(route.data)]))
        for network, ways in found:
            if destination in network and (best[0] is None or network.prefixlen > best[0].prefixlen):
                best = network, [(IfaceRef(name, dev), IPv4Address(gw or destination)) for dev, gw in ways]
        return best

    def lookup(
        self, name: str, destination: IPv4Address, source: IPv4Address | None, iif: str
    ) -> tuple[str, IfaceRef | None, IPv4Address | None]:
        if any(port.router == name for port in self._topology.owned_by(destination)):
            return "local", None, None
        _, ways = self.hops(name, destination)
        return ("out", *ways[0]) if ways else ("none", None, None)


def edges(folder: Path, destination: str, source: str = FAR) -> list[str]:
    topology = Topology(reader.load(folder))
    found = find_edges(topology, MainTable(topology), IPv4Address(source), IPv4Address(destination))
    return sorted(map(str, found))


def ingress(folder: Path, source: str, destination: str) -> Ingress:
    topology = Topology(reader.load(folder))
    return find_ingress(topology, MainTable(topology), IPv4Address(source), IPv4Address(destination))


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Two routers at one provider; only gw has the containers."""
    for name, last in (("gw", 2), ("gw-b", 3)):
        interfaces = {"lan": f"10.0.0.{last}/24", "wan": f"192.0.2.{last}/24"}
        interfaces |= {"docker0": "172.17.0.1/16"} if name == "gw" else {}
        write_router(tmp_path, name, interfaces, "default via 192.0.2.1 dev wan")
    return tmp_path


@pytest.mark.parametrize("destination", ["172.17.0.2", "10.0.0.10", "10.0.0.2", "10.77.0.1"])
def test_every_edge_is_possible(pair: Path, destination: str) -> None:
    assert edges(pair, destination) == ["gw-b:wan", "gw:wan"]


def test_the_edge_of_the_reply_comes_first(pair: Path) -> None:
    found = ingress(pair, FAR, "172.17.0.2")
    assert (list(map(str, found.ports)), found.remedy) == (["gw:wan", "gw-b:wan"], "name it in hosts.yaml")


def test_an_edge_s_own_address_is_reached_there(pair: Path) -> None:
    assert edges(pair, "192.0.2.3") == ["gw-b:wan"]
    assert edges(pair, "192.0.2.77") == ["gw-b:wan", "gw:wan"]


def test_hosts_yaml_names_the_edge(pair: Path) -> None:
    (pair / "hosts.yaml").write_text("198.51.100.0/24: gw-b:wan\n")
    assert edges(pair, "172.17.0.2") == ["gw-b:wan"]
    assert edges(pair, "172.17.0.2", "198.18.0.1") == ["gw-b:wan", "gw:wan"]


@pytest.mark.parametrize("ecmp", [True, False])
def test_every_provider_of_a_router_has_an_edge(tmp_path: Path, ecmp: bool) -> None:
    interfaces = {"lan": "10.0.0.1/24", "wan": "192.0.2.2/24", "wan2": "203.0.113.2/24"}
    two = "default via 192.0.2.1 dev wan\ndefault via 203.0.113.1 dev wan2 table 2"
    write_router(tmp_path, "gw", interfaces, "" if ecmp else two)
    if ecmp:
        several(tmp_path, "gw", "default nexthop 192.0.2.1 wan nexthop 203.0.113.1 wan2")
    assert edges(tmp_path, "10.0.0.9") == ["gw:wan", "gw:wan2"]
    assert edges(tmp_path, "203.0.113.2") == ["gw:wan2"]


@pytest.mark.parametrize(
    ("source", "found"), [("172.20.5.9", ["partner:link"]), ("198.18.0.9", ["gw-b:wan", "gw:wan", "partner:link"])]
)
def test_only_a_private_source_is_certain_to_come_from_a_partner(pair: Path, source: str, found: list[str]) -> None:
    routes = "172.20.0.0/16 via 10.99.0.2 dev link\n198.18.0.0/15 via 10.99.0.2 dev link"
    write_router(pair, "partner", {"lan": "10.0.0.4/24", "link": "10.99.0.1/30"}, routes)
    assert edges(pair, "10.0.0.9", source) == found


def test_a_host_beside_a_provider_s_gateway_can_enter_at_each_router(pair: Path) -> None:
    assert list(map(str, ingress(pair, "192.0.2.50", "172.17.0.2").ports)) == ["gw:wan", "gw-b:wan"]


def test_a_host_with_one_probable_gateway_enters_there(pair: Path) -> None:
    write_router(pair, "side", {"lan": "10.0.0.4/24", "far": "10.8.0.1/24"})
    assert list(map(str, ingress(pair, "10.0.0.9", "10.8.0.9").ports)) == ["gw:lan", "gw-b:lan"]


def test_a_router_without_a_route_is_no_gateway(tmp_path: Path) -> None:
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "up": "10.9.0.1/24"}, "10.0.2.0/24 via 10.9.0.2 dev up")
    write_router(tmp_path, "r2", {"lan": "10.0.1.2/24"}, "10.0.2.0/24 via 10.0.1.1 dev lan")
    write_router(tmp_path, "r3", {"lan": "10.0.1.3/24"})
    assert list(map(str, ingress(tmp_path, "10.0.1.9", "10.0.2.9").ports)) == ["r1:lan", "r2:lan"]
