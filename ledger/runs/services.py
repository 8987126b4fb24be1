"""Parser for the service syntax: `22,80/tcp,53/udp,8000-8003,https,icmp`.

A part is a port, a range such as `8000-8003`, or a name from the system's services database, each with an optional
`/tcp` or `/udp` (`tcp/443` is also accepted). It can also be `icmp` or `ping`, which mean an echo request. A part
without a protocol gets the default one, except for a name that the database has for only one protocol (`ntp`). White
space and upper case are accepted.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.errors import BadInput
from ledger.runs.run import Service

SERVICES_MAX = 100
"""Maximum number of services of one run, after expansion and merging."""
PARTS_MAX = 1000
"""Maximum number of parts before merging. It limits the work for a huge request."""
PORT_MAX = 65535
PORT_PROTOCOLS = ("tcp", "udp")

_NUMBER = re.compile(r"[0-9]+")
_RANGE = re.compile(r"([0-9]+)\s*-\s*([0-9]+)")
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._+*-]{0,62}")
_EXAMPLE = "write for example 22, 80/tcp, 53/udp, 8000-8003, https or icmp"
_TOO_MANY = f"a test takes at most {SERVICES_MAX} services"
_UNKNOWN = "is not in this system's services database: give its port number, as in 8080/tcp"

_database_lock = threading.Lock()

Pair = tuple[int | None, str]
"""(port, protocol) of one service; port is None for icmp."""


def parse_services(given: object, default_protocol: str = "tcp") -> tuple[Service, ...]:
    """Parse the 1-100 services in `given`. Duplicates are merged, in the order of their first appearance.

    `given` is a string in the syntax above, or a list of such strings, `Service`s, or objects such as `{"port": 22,
    "protocol": "tcp"}` (without a port for icmp). Raises BadInput("services", the invalid part, what would be valid).
    """
    if default_protocol not in PORT_PROTOCOLS:
        raise BadInput("default_protocol", default_protocol, "must be tcp or udp")
    pairs = _merge(pair for part in _parts(given) for pair in part.expand(default_protocol))
    return tuple(Service(port=port, protocol=protocol) for port, protocol in pairs)


def _merge(pairs: Iterable[Pair]) -> dict[Pair, None]:
    merged: dict[Pair, None] = {}
    for pair in pairs:
        merged[pair] = None
        if len(merged) > SERVICES_MAX:
            service = Service(port=pair[0], protocol=pair[1])
            raise BadInput("services", str(service), f"is one too many: {_TOO_MANY}")
    return merged


def _parts(given: object) -> Iterator[_Part]:
    """Yield the comma-separated parts and list members of `given`, numbered from 1."""
    members = list(given) if isinstance(given, list | tuple) else [given]
    if not isinstance(given, str | list | tuple):
        raise BadInput("services", given, f"must be a string or a list: {_EXAMPLE}")
    if not members or (isinstance(given, str) and not given.strip()):
        raise BadInput("services", given, f"does not name a service: {_EXAMPLE}")
    number = 0
    for member in members:
        for what in member.split(",", PARTS_MAX) if isinstance(member, str) else [member]:
            number += 1
            part = _Part(what, number)
            if number > PARTS_MAX:
                raise part.wrong(f"is too many: give at most {PARTS_MAX} parts")
            yield part


class _Part(NamedTuple):
    """One part of the request, text or object, and its position for error messages."""

    given: object
    number: int

    def wrong(self, remedy: str) -> BadInput:
        shown = self.given.strip() if isinstance(self.given, str) else self.given
        return BadInput("services", shown, f"(part {self.number}) {remedy}")

    def expand(self, default: str) -> Iterable[Pair]:
        """Return the services of this part."""
        if isinstance(self.given, str):
            return self._expand_text(self.given.strip(), default)
        if isinstance(self.given, Service):
            return (self._read_object(self.given.model_dump(), default),)
        if isinstance(self.given, Mapping):
            return (self._read_object(self.given, default),)
        raise self.wrong('must be a string such as "22/tcp" or an object with port and protocol')

    def _expand_text(self, text: str, default: str) -> Iterable[Pair]:
        if not text:
            raise self.wrong("is empty: remove the extra comma")
        what, slash, protocol = (piece.strip() for piece in text.partition("/"))
        if what.lower() in PORT_PROTOCOLS:  # `tcp/443`
            what, protocol = protocol, what
        protocol = protocol.lower()
        if {"icmp", "ping"} & {what.lower(), protocol}:
            if slash:
                raise self.wrong("is not possible: ICMP has no ports; use icmp")
            return ((None, "icmp"),)
        if slash and protocol not in PORT_PROTOCOLS:
            raise self.wrong("has an unknown protocol: end it in /tcp or /udp")
        if _NUMBER.fullmatch(what):
            return ((self._port(what), protocol or default),)
        if ends := _RANGE.fullmatch(what):
            return self._expand_range(ends[1], ends[2], protocol or default)
        return (self._name(what, protocol, default),)

    def _port(self, digits: str) -> int:
        port = int(digits) if len(digits) < 10 else PORT_MAX + 1
        if not 1 <= port <= PORT_MAX:
            raise self.wrong(f"is not a valid port: ports are 1-{PORT_MAX}")
        if digits[0] == "0":
            raise self.wrong(f"has a leading zero: write {port}")
        return port

    def _expand_range(self, low: str, high: str, protocol: str) -> Iterable[Pair]:
        first, last = self._port(low), self._port(high)
        if first > last:
            raise self.wrong(f"runs backwards: write {last}-{first}")
        if last - first >= SERVICES_MAX:
            raise self.wrong(f"has {last - first + 1} ports: {_TOO_MANY}")
        return ((port, protocol) for port in range(first, last + 1))

    def _name(self, name: str, protocol: str, default: str) -> Pair:
        if len(name.split()) > 1:
            raise self.wrong("contains white space: separate services with commas")
        if not _NAME.fullmatch(name):
            raise self.wrong(f"is not a valid port, range or name: {_EXAMPLE}")
        known = {p: port for p in PORT_PROTOCOLS if (port := look_up(name, p)) is not None}
        if not known:
            raise self.wrong(_UNKNOWN)
        chosen = protocol or (default if default in known else next(iter(known)))
        if chosen not in known:
            other, port = next(iter(known.items()))
            raise self.wrong(f"is known for {other} only: write {name} or {port}/{chosen}")
        return known[chosen], chosen

    def _read_object(self, given: Mapping[Any, object], default: str) -> Pair:
        for key in given:
            if key not in ("port", "protocol"):
                raise self.wrong(f"has an unknown field {str(key)[:40]!r}: a service has port and protocol")
        port, protocol = given.get("port"), given.get("protocol", default)
        protocol = protocol.lower() if isinstance(protocol, str) else ""
        if protocol == "icmp":
            if port is not None:
                raise self.wrong("is not possible: ICMP has no ports; leave port out")
            return None, "icmp"
        if protocol not in PORT_PROTOCOLS:
            raise self.wrong("has an unknown protocol: use tcp, udp or icmp")
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= PORT_MAX:
            raise self.wrong(f"has no usable port: port must be a number, 1-{PORT_MAX}")
        return port, protocol


@lru_cache(maxsize=4096)
def look_up(name: str, protocol: str) -> int | None:
    """Return the port of a name in the system's services database (/etc/services), or None if it is not there.

    Uses a lock, because Python calls C's getservbyname, which returns one static buffer for all threads.
    """
    for spelling in dict.fromkeys((name, name.lower())):
        with _database_lock:
            try:
                return socket.getservbyname(spelling, protocol)
            except OSError:
                continue
    return None
