"""Netlink attributes as bytes: type, length and value, padded to four bytes. Pure. netlink(7)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

NESTED = 0x8000
_ATTRIBUTE = struct.Struct("=HH")


def attribute(kind: int, value: bytes) -> bytes:
    """Encode one attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, value) of every attribute in `body`. The flag bits of the type are removed."""
    at = 0
    while at + 4 <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        yield kind & 0x3FFF, body[at + 4 : at + length]
        at += (length + 3) & ~3
