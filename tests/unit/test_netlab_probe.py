"""Probe packets against a reference that computes every checksum the long way (RFC 791, 793, 768, 792, 1071)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from netlab.packets.probe import COOKIE_FIRST, COOKIE_LAST, TTL, Packet, age, ethernet_header, ip_packet

addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
ports = st.integers(1, 65535)
cookies = st.integers(COOKIE_FIRST, COOKIE_LAST)
protocols = st.sampled_from(["tcp", "udp", "icmp"])


def ones_complement_sum(data: bytes | bytearray) -> int:
    """RFC 1071, word by word: 0xFFFF over data that holds its own right checksum."""
    total = 0
    for at in range(0, len(data) + len(data) % 2, 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def transport_is_right(packet: bytes) -> bool:
    """Whether the transport checksum fits, with the pseudo header where the protocol has one."""
    protocol, body = packet[9], packet[20:]
    pseudo = packet[12:20] + struct.pack("!HH", protocol, len(body)) if protocol != 1 else b""
    return ones_complement_sum(pseudo + body) == 0xFFFF


@given(protocols, addresses, addresses, ports, ports, cookies, st.integers(32, 63), st.integers(1, TTL))
def test_every_probe_is_a_valid_packet(
    protocol: str,
    source: IPv4Address,
    destination: IPv4Address,
    sport: int,
    dport: int,
    cookie: int,
    dscp: int,
    ttl: int,
) -> None:
    packet = Packet.make(protocol, source, destination, sport, None if protocol == "icmp" else dport)
    data = ip_packet(packet, cookie, dscp, ttl)
    assert ones_complement_sum(data[:20]) == 0xFFFF
    assert transport_is_right(data)
    version, tos, length, _, fragment, seen_ttl, number, _, saddr, daddr = struct.unpack("!BBHHHBBH4s4s", data[:20])
    assert (version, tos, length, seen_ttl) == (0x45, dscp << 2, len(data), ttl)
    assert fragment == 0x4000  # whole, and not to be fragmented
    assert (saddr, daddr, number) == (source.packed, destination.packed, packet.protocol)
    assert data[28:32] == cookie.to_bytes(4, "big")  # what the bench's sets are keyed by
    if protocol != "icmp":
        assert struct.unpack("!HH", data[20:24]) == (sport, dport)


@given(addresses, addresses, ports, ports, cookies)
def test_a_syn_is_linux_s(source: IPv4Address, destination: IPv4Address, sport: int, dport: int, cookie: int) -> None:
    data = ip_packet(Packet.make("tcp", source, destination, sport, dport), cookie, 33)
    offset, flags, window = struct.unpack("!BBH", data[32:36])
    assert (len(data), offset >> 4, flags, window) == (60, 10, 0x02, 64240)
    options, at, found = data[40:60], 0, {}
    while at < len(options):
        kind = options[at]
        size = 1 if kind in (0, 1) else options[at + 1]
        found[kind] = options[at + 2 : at + size]
        at += size
    assert at == len(options)
    assert found[2] == (1460).to_bytes(2, "big")
    assert set(found) == {1, 2, 3, 4, 8}
    assert data[24:25] != cookie.to_bytes(4, "big")[:1]  # or a RST's acknowledgement would look like a cookie


@given(addresses, addresses, ports, cookies)
def test_a_ping_is_as_long_as_ping_s(source: IPv4Address, destination: IPv4Address, sport: int, cookie: int) -> None:
    data = ip_packet(Packet.make("icmp", source, destination, sport, None), cookie, 32)
    assert (len(data), data[20], data[21]) == (84, 8, 0)
    assert struct.unpack("!HH", data[24:28]) == (sport, 1)


@given(protocols, addresses, addresses, ports, cookies, st.integers(32, 63), st.integers(2, TTL))
def test_ageing_is_what_a_router_does(
    protocol: str, source: IPv4Address, destination: IPv4Address, port: int, cookie: int, dscp: int, ttl: int
) -> None:
    packet = Packet.make(protocol, source, destination, port, None if protocol == "icmp" else port)
    older = bytearray(ip_packet(packet, cookie, dscp, ttl))
    age(older)
    assert ones_complement_sum(older[:20]) == 0xFFFF
    fresh = ip_packet(packet, cookie, dscp, ttl - 1)
    assert older[:10] + older[12:] == fresh[:10] + fresh[12:]
    assert older[8] == ttl - 1


def test_the_ethernet_header_names_the_router() -> None:
    header = ethernet_header(bytes.fromhex("027200000001"))
    assert header[:6] == bytes.fromhex("027200000001")
    assert len(header) == 14
    assert header[12:] == b"\x08\x00"
    assert not header[6] & 1  # no group address as sender
