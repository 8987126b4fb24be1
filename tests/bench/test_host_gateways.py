"""Hosts that may have one of several gateways, and sources that may enter at several edges."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from netlab.errors import FactsError
from netlab.facts import host_gateways, reader
from netlab.topology.topology import Topology
from tests.bench.conftest import Bench
from tests.bench.small import write_router

Start = Callable[[Path], Bench]
A, FAR = "10.0.1.9", "203.0.113.5"


def two_firewalls(network: Path, first: str = "", second: str = "") -> None:
    """Two routers with a default route on one LAN; the arguments are the lines of their table filter."""
    for name, last, rules in (("fw1", 2, first), ("fw2", 3, second)):
        interfaces = {"lan": f"10.0.1.{last}/24", "wan": f"198.51.100.{last}/24"}
        write_router(network, name, interfaces, "default via 198.51.100.254 dev wan", filter_=rules)


def service(result: dict[str, Any]) -> dict[str, Any]:
    (only,) = result["services"]
    return dict(only)


@pytest.mark.parametrize("mode", ["quick", "detailed"])
def test_different_answers_of_two_gateways_are_unknown(tmp_path: Path, bench_of: Start, mode: str) -> None:
    two_firewalls(tmp_path, "-P FORWARD DROP")
    result = getattr(bench_of(tmp_path), mode)(A, FAR, "443/tcp")
    assert service(result)["result"] == "UNKNOWN"
    reason = service(result)["reason"]
    assert reason.startswith("the answer depends on the gateway of 10.0.1.9")
    assert "NO for fw1:lan" in reason
    assert "blocked by fw1" in reason
    assert "YES for fw2:lan" in reason
    assert reason.endswith("(name it in hosts.yaml)")


def test_the_same_answer_of_two_gateways_is_certain(tmp_path: Path, bench_of: Start) -> None:
    two_firewalls(tmp_path)
    bench = bench_of(tmp_path)
    result = bench.quick(A, FAR, "443/tcp")
    assert service(result)["result"] == "YES"
    assert result["depends_on"] == []
    assert any("the gateway of 10.0.1.9 is (YES for fw1:lan, fw2:lan)" in caveat for caveat in result["caveats"])
    result = bench.detailed(A, FAR, "443/tcp")
    assert service(result)["result"] == "YES"
    assert result["depends_on"] == []
    assert any("the same whatever the gateway of 10.0.1.9 and the edge" in caveat for caveat in result["caveats"])


def test_different_answers_of_two_edges_are_unknown(tmp_path: Path, bench_of: Start) -> None:
    two_firewalls(tmp_path, "-P FORWARD DROP")
    result = bench_of(tmp_path).quick(FAR, "10.0.1.9", "443/tcp")
    assert service(result)["result"] == "UNKNOWN"
    assert "the edge where packets from the external address 203.0.113.5 enter" in service(result)["reason"]


@pytest.mark.parametrize(
    ("text", "path", "result"),
    [
        ("10.0.1.0/24: fw2", ["fw2"], "YES"),
        ("10.0.1.0/24: fw2:lan  # the new one", ["fw2"], "YES"),
        ("10.0.1.0/24: 10.0.1.3", ["fw2"], "YES"),
        ("10.0.1.0/24: fw2\n10.0.1.9:\n  gateway: 'fw1'", ["fw1"], "NO"),
    ],
)
def test_the_gateway_of_hosts_yaml_is_used(
    tmp_path: Path, bench_of: Start, text: str, path: list[str], result: str
) -> None:
    two_firewalls(tmp_path, "-P FORWARD DROP")
    (tmp_path / "hosts.yaml").write_text(text + "\n")
    asked = bench_of(tmp_path).quick(A, FAR, "443/tcp")
    assert (service(asked)["path"], service(asked)["result"]) == (path, result)
    assert asked["depends_on"] == []


def with_macs(network: Path, macs: dict[str, str]) -> None:
    """`macs`: router:interface -> MAC address in its addr.json."""
    for port, mac in macs.items():
        router, _, interface = port.partition(":")
        path = network / router / "addr.json"
        path.write_text(
            path.read_text().replace(f'"ifname": "{interface}"', f'"ifname": "{interface}", "address": "{mac}"')
        )


def test_a_gateway_can_be_a_mac_address(tmp_path: Path, bench_of: Start) -> None:
    two_firewalls(tmp_path, "-P FORWARD DROP")
    with_macs(
        tmp_path, {"fw1:lan": "52:54:00:00:00:01", "fw2:lan": "52:54:00:00:00:aa", "fw2:wan": "52:54:00:00:00:aa"}
    )
    (tmp_path / "hosts.yaml").write_text("10.0.1.0/24: 52:54:00:00:00:AA\n10.0.1.9:\n  gateway: 52:54:00:00:00:01\n")
    bench = bench_of(tmp_path)
    asked = [bench.quick(source, FAR, "443/tcp") for source in ("10.0.1.8", A)]
    assert [(service(one)["path"], service(one)["result"]) for one in asked] == [(["fw2"], "YES"), (["fw1"], "NO")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "10.0.1.0/24: 52:54:00:00:00:77",
            "hosts.yaml:1: column 14: no interface with an address has the MAC address 52:54:00:00:00:77 in addr.json; "
            "name the router or `router:interface` instead",
        ),
        (
            "10.0.1.0/24: 52:54:00:00:00:01",
            "hosts.yaml:1: column 14: several interfaces have the MAC address 52:54:00:00:00:01 (fw1:lan, fw2:lan); "
            "name the router or `router:interface` instead",
        ),
        (
            "10.0.1.0/24: 52:54:00:00:00:02",
            "hosts.yaml:1: column 14: 52:54:00:00:00:02 (fw1:wan) is not on the segment of 10.0.1.0/24",
        ),
    ],
)
def test_an_unknown_or_ambiguous_mac_address_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    two_firewalls(tmp_path)
    with_macs(
        tmp_path, {"fw1:lan": "52:54:00:00:00:01", "fw2:lan": "52:54:00:00:00:01", "fw1:wan": "52:54:00:00:00:02"}
    )
    (tmp_path / "hosts.yaml").write_text(text)
    with pytest.raises(FactsError) as refused:
        Topology(reader.load(tmp_path))
    assert fault in str(refused.value)


def test_a_virtual_address_shows_the_gateway(tmp_path: Path) -> None:
    two_firewalls(tmp_path)
    path = tmp_path / "fw2" / "addr.json"
    lan = '{"family": "inet", "local": "10.0.1.1", "prefixlen": 32, "protocol": "keepalived"}'
    path.write_text(
        path.read_text().replace(
            '"addr_info": [{"family": "inet", "local": "10.0.1.3"',
            f'"addr_info": [{lan}, {{"family": "inet", "local": "10.0.1.3"',
        )
    )
    topology = Topology(reader.load(tmp_path))
    (segment,) = [s for s in topology.segments if len(s.ports) == 2 and s.name.startswith("10.0.1")]
    subnet = segment.subnet(IPv4Address(A))
    assert subnet
    assert [str(port) for port in topology.host_gateways.probable(list(segment.ports), subnet)] == ["fw2:lan"]


def test_hosts_yaml_is_part_of_the_digest(tmp_path: Path) -> None:
    two_firewalls(tmp_path)
    without = reader.load(tmp_path).digest
    (tmp_path / "hosts.yaml").write_text("10.0.1.0/24: fw1\n")
    assert reader.load(tmp_path).digest != without


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("10.0.1.0/24: fw9", "hosts.yaml:1: column 14: fw9 is not a router of these facts"),
        ("10.0.1.0/24: fw1:eth7", "hosts.yaml:1: column 14: fw1 has no interface eth7 with an address"),
        ("10.0.1.0/24: 10.0.1.77", "hosts.yaml:1: column 14: no router of these facts has the address 10.0.1.77"),
        ("10.0.1.0/24: fw1:wan", "fw1:wan is not on the segment of 10.0.1.0/24"),
    ],
)
def test_a_gateway_that_does_not_exist_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    two_firewalls(tmp_path)
    (tmp_path / "hosts.yaml").write_text(text)
    with pytest.raises(FactsError) as refused:
        Topology(reader.load(tmp_path))
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("10.0.1.0/24:\n  router: fw1", 2, "column 3: router is not a known key"),
        ("10.0.1.0/33: fw1", 1, "column 1: 10.0.1.0/33 is not an IPv4 address or subnet"),
        ("10.0.1.5/24: fw1", 1, "column 1: 10.0.1.5/24 is not an IPv4 address or subnet"),
        ("gateways: fw1", 1, "column 1: gateways is not an IPv4 address or subnet"),
        ("10.0.1.0/24: fw1\n10.0.1.0/24: fw2", 2, "column 1: 10.0.1.0/24 is listed twice, first on line 1"),
        ("10.0.1.0/24:\n10.0.2.0/24: fw1", 1, "column 1: 10.0.1.0/24 has no gateway"),
        ("  gateway: fw1", 1, "column 3: is indented"),
        ("10.0.1.0/24: [fw1, fw2]", 1, "column 1: is not `SUBNET: GATEWAY`"),
        ("10.0.1.0/24: &a fw1", 1, "column 1: is not `SUBNET: GATEWAY`"),
        ("10.0.1.0/24: !!python/object fw1", 1, "column 1: is not `SUBNET: GATEWAY`"),
    ],
)
def test_faults_of_hosts_yaml_have_line_and_column(text: str, line: int, message: str) -> None:
    _, faults = host_gateways.read(text)
    first = min(faults, key=lambda fault: fault.line)
    assert first.line == line
    assert message in first.message


def test_a_link_that_leads_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    network = tmp_path / "network"
    two_firewalls(network)
    (tmp_path / "secret").write_text("10.0.1.0/24: fw1\n")
    (network / "hosts.yaml").symlink_to(tmp_path / "secret")
    with pytest.raises(FactsError, match=r"hosts.yaml: is a link that leads out"):
        reader.load(network)


def test_a_reply_goes_to_the_address_that_its_host_has_seen(tmp_path: Path, bench_of: Start) -> None:
    """The host's gateway owns this address, so the reply never passes the router that would have to undo its DNAT.

    Fails when the reply is sent by way of the router that delivered the request, as if it went to a neighbour.
    """
    for name, last, rules in (
        ("fw1", 2, "-A PREROUTING -i wan -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.1.20:80"),
        ("fw2", 3, "-A POSTROUTING -s 10.0.1.0/24 -o wan -j MASQUERADE"),
    ):
        interfaces = {"lan": f"10.0.1.{last}/24", "wan": f"198.51.100.{last}/24"}
        iptables = f"*nat\n{rules}\nCOMMIT\n"
        write_router(tmp_path, name, interfaces, "default via 198.51.100.254 dev wan", iptables=iptables)
    (tmp_path / "hosts.yaml").write_text("10.0.1.0/24: fw2\n")
    bench = bench_of(tmp_path)
    assert service(bench.quick(A, "198.51.100.2", "8080/tcp"))["result"] == "YES"
    answer = service(bench.detailed(A, "198.51.100.2", "8080/tcp"))
    assert answer["result"] == "NO"
    assert "the reply ends in fw2, whose own address is 198.51.100.3" in answer["reason"]
    assert "it does not pass fw1, which would have to undo its NAT" in answer["reason"]
    assert (answer["path"], answer["reply_path"]) == (["fw2", "fw1"], ["fw2"])
