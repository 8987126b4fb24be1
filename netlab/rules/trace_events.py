"""The trace events of the kernel: one for each rule that a packet matched, and one for each policy. Pure."""

from __future__ import annotations

import struct
from enum import Enum
from typing import NamedTuple

from netlab.packets.netlink_attributes import attributes

BENCH_TABLE = "reachq_bench"
"""Name of the bench's own table in each router. Its trace events say nothing about the router's rules."""
_MARK, _LINK = 14, 7
"""NFTA_TRACE_MARK, NFTA_TRACE_LL_HEADER (linux/netfilter/nf_tables.h)."""
_LINK_COMES = struct.pack("=HH", 18, _LINK)
"""The bytes with which the attribute for the Ethernet header begins. Its length is 18: 14 after its own header of 4."""


class Kind(Enum):
    """What a trace event reports."""

    POLICY = 1
    RETURN = 2
    RULE = 3


class Verdict(Enum):
    """What a rule or policy did with the packet (uapi: NF_*, NFT_*)."""

    DROP = 0
    ACCEPT = 1
    STOLEN = 2
    QUEUE = 3
    REPEAT = 4
    CONTINUE = -1
    BREAK = -2
    JUMP = -3
    GOTO = -4
    RETURN = -5


class Event(NamedTuple):
    """One step of one packet through one chain.

    Only the first event of each base chain has `network` and `transport`, the packet's headers.
    """

    trace: int
    family: str
    table: str
    chain: str
    kind: Kind
    handle: int
    verdict: Verdict
    target: str
    """The target chain of a jump or goto."""
    network: bytes
    transport: bytes
    iif: int
    oif: int
    body: bytes
    """The netlink message."""

    @property
    def mark(self) -> int:
        """The packet's mark. Only events with headers have it."""
        return int.from_bytes(dict(attributes(self.body)).get(_MARK, b""), "big")

    @property
    def sender(self) -> bytes:
        """The packet's source MAC address; b"" for a packet that the router itself sends.

        Only events with headers have it.
        """
        at = self.body.find(_LINK_COMES)
        return b"" if at < 0 else self.body[at + 10 : at + 16]
