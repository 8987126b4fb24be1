"""Reads from the bench's table in a router how far each probe got."""

from __future__ import annotations

import struct
from collections.abc import Set
from enum import Enum
from typing import NamedTuple

from netlab.live.build import LiveRouter
from netlab.packets.probe import ICMP, Packet

SETS = {"entered": 4, "routable": 20, "forwarded": 24, "addressed": 16, "left": 24, "received": 16}
"""Set of netlab/live/bench.nft -> size of its key in bytes."""

_WAY = struct.Struct("=4sI4s4s4s4s")
_HERE = struct.Struct("=4s4s4s4s")
_ROUTABLE = struct.Struct("=4sI4s4s4s")


class Stage(Enum):
    """How far a probe got in a router, from the first point to the last."""

    NOTHING = "nothing"
    ENTERED = "entered"
    ROUTABLE = "routable"
    FORWARDED = "forwarded"
    ADDRESSED = "addressed"
    RECEIVED = "received"
    LEFT = "left"


class Observation(NamedTuple):
    """What one router shows of one probe.

    The addresses and ports are those at the last point reached. `oif` and `next_hop` are set if a route was chosen.
    """

    reach: Stage
    oif: int = 0
    next_hop: bytes = b""
    mark: int = 0
    source: bytes = b""
    destination: bytes = b""
    ports: bytes = b""

    def packet(self, before: Packet) -> Packet:
        """Return the probe as the router sent it, with changes by NAT."""
        ports = before.ports if before.protocol == ICMP else self.ports
        same = self.source == before.source and self.destination == before.destination and ports == before.ports
        if same or not self.source:
            return before
        return Packet(before.protocol, self.source, self.destination, ports)


NOTHING = Observation(Stage.NOTHING)
"""The observation of every probe that was seen nowhere."""
# A NamedTuple's own constructor takes twice as long, and each service has an observation for each of its routers.
_new = tuple.__new__


def finished(router: LiveRouter) -> dict[bytes, Observation]:
    """Return cookie -> observation for every probe that left the router."""
    return _ways(router, "left", Stage.LEFT)


def late(router: LiveRouter) -> dict[bytes, Observation]:
    """Return cookie -> observation for every probe that left the router or passed its INPUT.

    Call this after `stopped`, to include probes that came through while the other sets were read.
    """
    return _ways(router, "left", Stage.LEFT) | _here(router, "received", Stage.RECEIVED)


def stopped(router: LiveRouter, cookies: Set[bytes]) -> dict[bytes, Observation]:
    """Return cookie -> observation for probes that did not leave, each at the last point that it reached.

    Reads only as many sets as necessary.
    """
    sights = _ways(router, "forwarded", Stage.FORWARDED)
    if not cookies <= sights.keys():
        sights |= _here(router, "addressed", Stage.ADDRESSED) | _here(router, "received", Stage.RECEIVED)
    if not cookies <= sights.keys():
        sights = routable(router) | sights
    if not cookies <= sights.keys():
        for cookie in router.sets.dump("entered", SETS["entered"]):
            sights.setdefault(cookie, Observation(Stage.ENTERED))
    return {cookie: sights.get(cookie, NOTHING) for cookie in cookies}


def routable(router: LiveRouter) -> dict[bytes, Observation]:
    """Return cookie -> observation, with the mark, for every probe that reached the routing decision."""
    sights = {}
    for key in router.sets.dump("routable", SETS["routable"]):
        cookie, mark, source, destination, ports = _ROUTABLE.unpack(key)
        sights[cookie] = Observation(Stage.ROUTABLE, 0, b"", mark, source, destination, ports)
    return sights


def _ways(router: LiveRouter, name: str, reach: Stage) -> dict[bytes, Observation]:
    sights = {}
    for key in router.sets.dump(name, SETS[name]):
        cookie, oif, hop, source, destination, ports = _WAY.unpack(key)
        sights[cookie] = _new(Observation, (reach, oif, hop, 0, source, destination, ports))
    return sights


def _here(router: LiveRouter, name: str, reach: Stage) -> dict[bytes, Observation]:
    sights = {}
    for key in router.sets.dump(name, SETS[name]):
        cookie, source, destination, ports = _HERE.unpack(key)
        sights[cookie] = Observation(reach, 0, b"", 0, source, destination, ports)
    return sights


def forget(router: LiveRouter) -> None:
    """Empty all sets of the bench in the router."""
    router.sets.flush(SETS)
