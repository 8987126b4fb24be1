"""TOS arithmetic of RFC 2474, checked against the values in its tables and in common tools."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dscp import tos
from dscp.lanes import LANE_FIRST, LANE_LAST, LANES

ROOT = Path(__file__).resolve().parents[2]
LOOP = re.compile(r"for (?:lane|number) = (\d+), (\d+) do")


@pytest.mark.parametrize(
    ("dscp", "byte"),
    [(0, 0x00), (8, 0x20), (32, 0x80), (46, 0xB8), (48, 0xC0), (63, 0xFC)],
    ids=["default", "CS1", "CS4", "EF", "CS6", "last"],
)
def test_known_code_points(dscp: int, byte: int) -> None:
    assert tos.tos_of(dscp) == byte
    assert tos.dscp_of(byte) == dscp


@given(st.integers(0, 63), st.integers(0, 3))
def test_there_and_back_whatever_ecn_says(dscp: int, ecn: int) -> None:
    byte = tos.tos_of(dscp, ecn)
    assert tos.dscp_of(byte) == dscp
    assert byte & tos.ECN_MASK == ecn
    assert byte & tos.TOS_MASK == tos.tos_of(dscp)


@pytest.mark.parametrize(("call", "value"), [(tos.tos_of, 64), (tos.tos_of, -1), (tos.dscp_of, 256), (tos.dscp_of, -1)])
def test_out_of_range(call: type, value: int) -> None:
    with pytest.raises(ValueError, match=str(value)):
        call(value)


def test_lanes_are_the_upper_half() -> None:
    assert [dscp for dscp in range(64) if tos.is_lane(dscp)] == list(LANES) == list(range(32, 64))


def test_the_kernel_takes_the_byte() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for lane in LANES:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos.tos_of(lane))
            assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == tos.tos_of(lane)


def test_texts_that_cannot_import_the_bounds_of_the_lanes_agree_with_them() -> None:
    """Scripts of Redis and the rules of the bench name them as numbers."""
    loops = [found for path in ROOT.glob("ledger/lua/**/*.lua") for found in LOOP.findall(path.read_text())]
    assert loops
    assert {(int(first), int(last)) for first, last in loops} == {(LANE_FIRST, LANE_LAST)}
    first = re.findall(r"ip dscp < (\d+)", (ROOT / "netlab/live/bench.nft").read_text())
    assert {int(number) for number in first} == {LANE_FIRST}
