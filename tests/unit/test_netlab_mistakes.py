"""Facts that can be loaded, but are probably a mistake: `facts check` warns of them."""

from __future__ import annotations

from pathlib import Path

from netlab.facts import reader
from netlab.topology.mistakes import likely_mistakes
from netlab.topology.topology import Topology
from tests.bench.small import write_router

RULES = "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -p icmp -j ACCEPT\nCOMMIT\n"


def mistakes(folder: Path) -> list[str]:
    facts = reader.load(folder)
    return [str(problem) for problem in likely_mistakes(facts, Topology(facts))]


def two_routers(folder: Path, *, default: bool = True, iptables: str = "", nft: str = "") -> None:
    routes = "default via 192.0.2.1 dev eth1" if default else ""
    write_router(folder, "r1", {"eth0": "10.0.1.1/24", "eth1": "192.0.2.2/29"}, routes, iptables=iptables, nft=nft)
    write_router(folder, "r2", {"eth0": "10.0.1.2/24", "eth1": "10.0.2.1/24"}, iptables=RULES)


def test_a_network_without_a_mistake(tmp_path: Path) -> None:
    two_routers(tmp_path, iptables=RULES)
    assert not mistakes(tmp_path)


def test_a_router_without_a_firewall_beside_one_with_rules(tmp_path: Path) -> None:
    two_routers(tmp_path)
    (warning,) = mistakes(tmp_path)
    assert (
        warning == "r1: has no firewall file, but its neighbours have rules (r2); were iptables-save and nft run on it?"
    )


def test_a_router_without_a_firewall_alone(tmp_path: Path) -> None:
    write_router(tmp_path, "r1", {"eth0": "10.0.1.1/24"}, "default via 10.0.1.9 dev eth0")
    write_router(tmp_path, "r2", {"eth0": "10.0.2.1/24"}, iptables=RULES)
    assert not mistakes(tmp_path), "they share no segment"


def test_no_default_route_anywhere(tmp_path: Path) -> None:
    two_routers(tmp_path, default=False, iptables=RULES)
    (warning,) = mistakes(tmp_path)
    assert "no router has a default route" in warning


def test_dnat_to_an_address_in_no_subnet(tmp_path: Path) -> None:
    nat = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n"
        "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.2.80:8080\n"
        "-A PREROUTING -p tcp -m tcp --dport 81 -j DNAT --to-destination 10.0.3.80:8080\n"
        "-A PREROUTING -p tcp -m tcp --dport 82 -j DNAT --to-destination 203.0.114.9\nCOMMIT\n"
    )
    nft = "table ip n {\n\tchain p {\n\t\ttype nat hook prerouting priority -100; policy accept;\n"
    nft += "\t\ttcp dport 83 dnat to 10.0.4.80:80\n\t}\n}\n"
    two_routers(tmp_path, iptables=nat + RULES, nft=nft)
    warnings = mistakes(tmp_path)
    assert [warning.split(" ")[0] for warning in warnings] == ["r1/iptables.rules:4:", "r1/nft.rules:4:"]
    assert all("no known subnet" in warning for warning in warnings)
