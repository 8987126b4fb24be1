"""A test from a router to itself: quick can only test OUTPUT and says so, detailed tests OUTPUT and INPUT, both ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.conftest import Bench
from tests.bench.small import write_router

FILTER = """
    :INPUT ACCEPT [0:0]
    :FORWARD ACCEPT [0:0]
    :OUTPUT ACCEPT [0:0]
    -A INPUT -i lo -p tcp -m tcp --dport 80 -j DROP
    -A INPUT -i lo -p tcp -m tcp --dport 81 -j REJECT --reject-with icmp-port-unreachable
    -A OUTPUT -p tcp -m tcp --dport 82 -j DROP
    -A INPUT -i lo -p tcp -m tcp --sport 83 -j DROP
"""
EXPECTED = {
    "443/tcp": ("UNKNOWN", "YES", "CONNECTED", "works in both directions via r1"),
    "53/udp": ("UNKNOWN", "YES", "CONNECTED", "works in both directions via r1"),
    "icmp": ("UNKNOWN", "YES", "CONNECTED", "works in both directions via r1"),
    "80/tcp": ("UNKNOWN", "NO", "TIMEOUT", "is blocked by r1, INPUT rule 1:"),
    "81/tcp": ("UNKNOWN", "NO", "REFUSED", "is rejected by r1, INPUT rule 2:"),
    "82/tcp": ("NO", "NO", "TIMEOUT", "is blocked by r1, OUTPUT rule 1:"),
    "83/tcp": ("UNKNOWN", "NO", "TIMEOUT", "the request arrives, but the reply is dropped by r1, INPUT rule 3:"),
}
"""Service -> quick's result, detailed's result and outcome, what its sentence says."""
REASON = "source and destination are both r1 itself: its INPUT was not tested"
CAVEAT = "r1: between a router's own addresses, quick tests check only OUTPUT; use a detailed test"


@pytest.fixture
def bench(tmp_path: Path, bench_of: Callable[[Path], Bench]) -> Bench:
    """r1 with rules for packets to itself, and a neighbour."""
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "up": "10.9.0.1/30"}, filter_=FILTER)
    write_router(tmp_path, "r2", {"up": "10.9.0.2/30"})
    return bench_of(tmp_path)


@pytest.mark.parametrize("destination", ["10.9.0.1", "10.0.1.1"])
def test_where_quick_cannot_tell_it_says_so_and_detailed_tells(bench: Bench, destination: str) -> None:
    quick = bench.quick("10.0.1.1", destination, ",".join(EXPECTED))
    detailed = bench.detailed("10.0.1.1", destination, ",".join(EXPECTED))
    assert (quick["caveats"], detailed["caveats"]) == ([CAVEAT], [])
    for walked, real, expected in zip(quick["services"], detailed["services"], EXPECTED.values(), strict=True):
        walked_as, result, outcome, sentence = expected
        assert (walked["result"], walked["reason"], walked["path"]) == (walked_as, REASON, ["r1"])
        assert (real["result"], real["outcome"], real["path"]) == (result, outcome, ["r1"]), real["sentence"]
        assert sentence in real["sentence"]
        if result == "YES":
            ways = [(hop["direction"], hop["in"], hop["out"]) for hop in real["hops"]]
            there_and_back = [(None, "lo"), ("lo", None)]
            assert ways == [(way, *ports) for way in ("request", "reply") for ports in there_and_back]
            assert (real["reason"], real["reply_path"]) == (None, ["r1"])


def test_a_router_that_asks_another_needs_no_such_caveat(bench: Bench) -> None:
    assert bench.quick("10.9.0.1", "10.9.0.2", "443/tcp")["caveats"] == []
    assert bench.detailed("10.9.0.1", "10.9.0.2", "443/tcp")["verdict"] == "YES"
