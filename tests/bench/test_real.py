"""The bench against labs of real-world configurations; `python -m tests.bench.real 1-500` compares many more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.conftest import Bench, running_bench
from tests.bench.real import compare, examine, truth_of
from tests.bench.real_grammar import network
from tests.bench.real_lab import ISP
from tests.bench.small import write_router

Start = Callable[[Path], Bench]

SEEDS = (1, 5, 8, 12, 40)


@pytest.mark.parametrize("seed", SEEDS)
def test_real_world_configurations_do_as_the_bench_says(seed: int, tmp_path: Path) -> None:
    _, tally = examine(seed, tmp_path)
    assert not tally.wrong, f"see {tmp_path}:\n" + "\n".join(tally.wrong)
    assert tally.cells["quick"] >= 10
    assert 0 < tally.cells["quick YES"] < tally.cells["quick"]


@pytest.mark.parametrize("seed", [60, 533])
def test_the_provider_may_send_packets_to_the_other_gateway(seed: int, tmp_path: Path) -> None:
    """The lab's provider has its default route to the other router of a VRRP pair than the seed says."""
    spec = network(seed)
    lines = spec["hosts"][ISP]["ip"]
    at = next(number for number, line in enumerate(lines) if line.startswith("route add default via "))
    gateway = lines[at].rpartition(" ")[2]
    lines[at] = "route add default via " + {"192.0.2.2": "192.0.2.3", "192.0.2.3": "192.0.2.2"}[gateway]
    truth = truth_of(spec, tmp_path / "network")
    with running_bench(tmp_path / "network") as bench:
        tally = compare(spec, truth, bench)
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.cells["quick YES"] > 0


def test_a_connection_that_fails_in_one_outcome_of_chance_is_unknown(tmp_path: Path, bench_of: Start) -> None:
    """A pod that asks a service of which it is an endpoint itself: only the endpoint beside it replies past the node."""
    write_router(
        tmp_path,
        "node",
        {"cni0": "10.244.0.1/24", "eth0": "192.0.2.2/24"},
        iptables="""*nat
        :own - [0:0]
        -A PREROUTING -d 10.96.0.10/32 -p tcp -m statistic --mode random --probability 0.5 -j own
        -A PREROUTING -d 10.96.0.10/32 -p tcp -j DNAT --to-destination 10.244.0.6
        -A own -p tcp -j DNAT --to-destination 10.244.0.5
        -A POSTROUTING -s 10.244.0.5/32 -d 10.244.0.5/32 -j MASQUERADE
        COMMIT""",
    )
    bench = bench_of(tmp_path)
    detailed = bench.detailed("10.244.0.5", "10.96.0.10", "80/tcp")
    assert detailed["verdict"] == "UNKNOWN"
    assert "a connection fails in 1 of its 2 outcomes" in detailed["reason"]
    quick = bench.quick("10.244.0.5", "10.96.0.10", "80/tcp")
    assert quick["verdict"] == "YES"
    assert any("a connection fails in 1 of its 2 outcomes" in caveat for caveat in quick["caveats"])


def test_the_internet_reaches_the_address_of_a_second_provider_through_that_provider(
    tmp_path: Path, bench_of: Start
) -> None:
    write_router(
        tmp_path,
        "gw",
        {"lan": "10.0.0.1/24", "wan": "192.0.2.2/24", "wan2": "203.0.113.2/24"},
        "default via 192.0.2.1 dev wan\ndefault via 203.0.113.1 dev wan2 table 2",
        filter_="-P INPUT ACCEPT\n-A INPUT -i wan2 -j DROP",
    )
    bench = bench_of(tmp_path)
    assert bench.quick("198.51.100.7", "203.0.113.2", "80/tcp")["verdict"] == "NO"
    assert bench.quick("198.51.100.7", "192.0.2.2", "80/tcp")["verdict"] == "YES"
