"""The text form of a service, the same in all places: `443/tcp`, `icmp`, or several as `22/tcp, 8000-8003/tcp`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class ServiceLike(Protocol):
    """Anything with a port and a protocol."""

    @property
    def port(self) -> int | None:
        """The port; None for icmp."""

    @property
    def protocol(self) -> str:
        """`tcp`, `udp` or `icmp`."""


def spell(port: int | None, protocol: str) -> str:
    """Return the text of a service: `22/tcp` or `icmp`."""
    return protocol if port is None else f"{port}/{protocol}"


def service_name(service: ServiceLike) -> str:
    """Return the text of this service: `22/tcp` or `icmp`."""
    return spell(service.port, service.protocol)


def fold(services: Iterable[ServiceLike]) -> str:
    """Return the text of several services in short form: `22/tcp, 8000-8003/tcp, icmp`."""
    ranges: list[tuple[int | None, int | None, str]] = []  # first port, last port, protocol
    for service in services:
        port, protocol = service.port, service.protocol
        if ranges and port and ranges[-1][2] == protocol and ranges[-1][1] == port - 1:
            ranges[-1] = (ranges[-1][0], port, protocol)
        else:
            ranges.append((port, port, protocol))
    return ", ".join(
        spell(first, protocol) if first == last else f"{first}-{last}/{protocol}" for first, last, protocol in ranges
    )
