"""Builds the ICMP errors of a router (RFC 792, RFC 1812) that the kernel suppresses. Pure.

Linux sends these errors only about once a second for each sender (`net.ipv4.route.error_cost`, a limit for the whole
machine that no namespace can change). Whether the client receives a refusal must not depend on the number of tests, so
where the kernel has sent no error, the router itself sends the one that the kernel would have sent.
"""

from __future__ import annotations

import errno
import struct
from ipaddress import IPv4Address

CODES = {errno.ENETUNREACH: 0, errno.EHOSTUNREACH: 1, errno.EACCES: 13}
"""errno of a route lookup -> the code of the kernel's "destination unreachable"; a blackhole sends nothing."""
_UNREACHABLE, _ICMP = 3, 1
_INTERNETWORK_CONTROL = 0xC0
_TTL = 64


def unreachable(code: int, packet: bytes) -> tuple[IPv4Address, bytes]:
    """(recipient, IP packet) of the refusal of `packet`: its IP header and payload; the kernel fills in the source."""
    body = struct.pack("!BBHI", _UNREACHABLE, code, 0, 0) + packet
    body += b"\0" * (len(body) % 2)
    body = body[:2] + _checksum(body).to_bytes(2, "big") + body[4:]
    length = 20 + len(body)
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, _INTERNETWORK_CONTROL, length, 0, 0, _TTL, _ICMP, 0, bytes(4), packet[12:16]
    )
    return IPv4Address(packet[12:16]), head + body


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
