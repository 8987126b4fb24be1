"""Builds ICMP errors of a router (RFC 792, RFC 1812) when the kernel has suppressed them. Pure.

Linux sends these errors only about once a second for each sender (`net.ipv4.route.error_cost`, a limit for the whole
machine that no namespace can change). Whether the client receives an error must not depend on the number of tests. If
the kernel has sent none, the bench sends the error that the kernel would have sent, from the router.
"""

from __future__ import annotations

import errno
import struct
from ipaddress import IPv4Address

CODES = {errno.ENETUNREACH: 0, errno.EHOSTUNREACH: 1, errno.EACCES: 13}
"""errno of a route lookup -> code of the "destination unreachable" that the kernel sends. A blackhole sends none."""
_UNREACHABLE, _ICMP = 3, 1
_INTERNETWORK_CONTROL = 0xC0
_TTL = 64


def unreachable(code: int, packet: bytes) -> tuple[IPv4Address, bytes]:
    """Build the ICMP error "destination unreachable" for `packet`. Return (recipient, IP packet).

    `packet` is the IP header and the start of the payload. The kernel fills in the source address of the error.
    """
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
