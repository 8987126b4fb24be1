"""The kernel's trace events of a packet: one for each rule that it matched and for each policy. Pure."""

from __future__ import annotations

import struct
from enum import Enum
from typing import NamedTuple

from netlab.packets.netlink_attributes import attributes

BENCH_TABLE = "reachq_bench"
"""Name of the bench's own table in each router, whose events do not belong to the router."""
_MARK, _LINK = 14, 7
"""NFTA_TRACE_MARK, NFTA_TRACE_LL_HEADER (linux/netfilter/nf_tables.h)."""
_LINK_COMES = struct.pack("=HH", 18, _LINK)
"""The start of the attribute with the Ethernet header: 14 bytes after a header of four."""


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
    """One step of one packet through one chain; `network` and `transport` only on the first of a base chain."""

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
    """The message itself."""

    @property
    def mark(self) -> int:
        """The packet's mark; only in events with headers."""
        return int.from_bytes(dict(attributes(self.body)).get(_MARK, b""), "big")

    @property
    def sender(self) -> bytes:
        """Source MAC address of the packet, b"" for a packet from the router itself; only in events with headers."""
        at = self.body.find(_LINK_COMES)
        return b"" if at < 0 else self.body[at + 10 : at + 16]
