"""Probe packets: one Ethernet frame for one service at one hop, with the lane's DSCP (RFC 2474) and a cookie. Pure.

The cookie is four bytes that no NAT and no DSCP rule changes: the acknowledgement number of TCP (unused in a SYN) or
the first four bytes of the payload of UDP and ICMP echo. All of these are eight bytes into the transport header. The
keys of the bench's nft sets are cookies. The first byte is fixed, so that no RST or ICMP error from the router can be
mistaken for a cookie.

In all other respects a probe is like the first packet of a Linux host, because rules can match its properties (length,
TTL, TCP options, DF): a SYN of 60 bytes with MSS, SACK, timestamps and window scale, or a ping of 84 bytes. The TTL is
64 minus the number of routers already passed.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import NamedTuple

from dscp.tos import tos_of

TCP, UDP, ICMP = 6, 17, 1
PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP}
COOKIE_FIRST, COOKIE_LAST = 0x71000000, 0x71000FFF
"""First and last cookie. A cookie has 0x71, a trace bit, eleven bits for the branch, and twelve bits that count probes.
"""
TRACED = 0x00800000
"""The bit in the cookie that requests a kernel trace of the probe (netlab/live/bench.nft)."""
BRANCHES = 64
"""Limit of the branch numbers for single matches (netlab/rules/rule_replacement.py).

A multiple of this number is the branch of one outcome of `numgen`.
"""
BRANCH_MASK = 0xFF03F000
_BRANCH_SHIFT = 12
_ETHERTYPE_IPV4 = b"\x08\x00"
_SENDER_MAC = bytes.fromhex("027271ffffff")
_IP = struct.Struct("!BBHHHBBH4s4s")
_TCP = struct.Struct("!HHIIHHHH20s")
_UDP = struct.Struct("!HHHHI")
_ECHO = struct.Struct("!HHHHI52x")
_PORTS = struct.Struct("!HH")
_ADDRESSES = struct.Struct("!4H")
_SYN = 0xA002  # ten words of header, flag SYN
_WINDOW = 0xFAF0
_OPTIONS = bytes.fromhex("020405b4 0402 080a5a17c0de00000000 01 030307")  # MSS 1460, SACK, timestamp, window scale 7
_OPTIONS_SUM = sum(struct.unpack("!10H", _OPTIONS))
_VERSION_AND_LENGTH = 0x45  # IPv4, five words of header
_DONT_FRAGMENT = 0x4000
TTL = 64
"""Initial TTL of Linux, macOS and most other systems."""


def branch_value(number: int) -> int:
    """Return the cookie bits selected by BRANCH_MASK for a probe in branch `number`."""
    return 0x71000000 | number << _BRANCH_SHIFT


def in_branch(cookie: int, branch: int) -> int:
    """Return the cookie with `branch` (0 to 2047) added."""
    return cookie | branch << _BRANCH_SHIFT


class Packet(NamedTuple):
    """The header fields of a probe that routers see, in network byte order as the kernel shows them.

    `ports` is the source port and the destination port, two bytes each. For icmp the first two bytes are the echo
    identifier.
    """

    protocol: int
    source: bytes
    destination: bytes
    ports: bytes

    @classmethod
    def make(
        cls, protocol: str, source: IPv4Address, destination: IPv4Address, source_port: int, port: int | None
    ) -> Packet:
        """Return the first packet of a connection to this service."""
        return cls(PROTOCOLS[protocol], source.packed, destination.packed, struct.pack("!HH", source_port, port or 0))


def _fold(total: int) -> int:
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def ip_packet(packet: Packet, cookie: int, dscp: int, ttl: int = TTL) -> bytes:
    """Build the IPv4 packet with all checksums: a TCP SYN, UDP with four bytes of payload, or an ICMP echo request."""
    protocol, source, destination, ports = packet
    sport, dport = _PORTS.unpack(ports)
    cookie_sum = (cookie >> 16) + (cookie & 0xFFFF)
    pseudo = sum(_ADDRESSES.unpack(source + destination)) + protocol
    if protocol == TCP:
        # The sequence number must not start like a cookie: a RST would carry sequence + 1 in place of the cookie.
        sequence = 0x5A000000 | (cookie & 0xFFFFFF)
        total = pseudo + 40 + sport + dport + (sequence >> 16) + (sequence & 0xFFFF) + cookie_sum + _SYN + _WINDOW
        body = _TCP.pack(sport, dport, sequence, cookie, _SYN, _WINDOW, _fold(total + _OPTIONS_SUM), 0, _OPTIONS)
    elif protocol == UDP:
        total = pseudo + 12 + sport + dport + 12 + cookie_sum
        body = _UDP.pack(sport, dport, 12, _fold(total) or 0xFFFF, cookie)
    else:
        body = _ECHO.pack(0x0800, _fold(0x0800 + sport + 1 + cookie_sum), sport, 1, cookie)
    length = 20 + len(body)
    ip_id = cookie & 0xFFFF
    tos = tos_of(dscp)
    # pseudo contains the addresses and the protocol
    total = (_VERSION_AND_LENGTH << 8) + tos + length + ip_id + _DONT_FRAGMENT + (ttl << 8) + pseudo
    head = _IP.pack(
        _VERSION_AND_LENGTH, tos, length, ip_id, _DONT_FRAGMENT, ttl, protocol, _fold(total), source, destination
    )
    return head + body


def age(data: bytearray) -> None:
    """Decrement the packet's TTL as a router does, and update the header checksum (RFC 1141)."""
    data[8] -= 1
    if data[10] < 0xFF:
        data[10] += 1
    else:
        data[10], data[11] = divmod(data[11] + 1, 256)


def ethernet_header(router_mac: bytes) -> bytes:
    """Return the Ethernet header of a frame to the router interface with this MAC address."""
    return router_mac + _SENDER_MAC + _ETHERTYPE_IPV4
