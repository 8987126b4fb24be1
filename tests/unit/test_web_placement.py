"""The location of an address, as the form shows it while the user types."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from app.snapshots.network import read_network
from app.web.forms.placement import place
from ledger.settings import Settings
from netlab.topology.topology import Topology

CAMPUS = Path(__file__).resolve().parents[2] / "networks" / "campus"


@pytest.fixture(scope="module")
def topology() -> Topology:
    network = read_network(Settings(network=CAMPUS))
    assert network.topology is not None
    assert network.facts_ms > 0
    return network.topology


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("10.3.20.8", "host", "segment 10.3.20.0/24, behind dc-core"),
        ("10.3.20.1", "router", "dc-core’s own address"),
        ("10.3.20.255", "no-host", "not a host address"),
        ("8.8.8.8", "edge", "treated as external"),
    ],
)
def test_place(topology: Topology, address: str, kind: str, words: str) -> None:
    found = place(topology, IPv4Address(address))
    assert found.kind == kind
    assert words in found.words


def test_facts_that_are_not_here_are_no_failure(tmp_path: Path) -> None:
    network = read_network(Settings(network=tmp_path / "nowhere"))
    assert network.topology is None
    assert "nowhere" in network.error
