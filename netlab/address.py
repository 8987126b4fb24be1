"""Where a bench listens: a path, or `@name` in Linux's abstract socket space, which leaves no file behind. Pure."""

from __future__ import annotations

import hashlib
from pathlib import Path


def default_address(data: Path, bench: str) -> str:
    """The address of the bench called `bench` of the system whose data folder is `data`."""
    folder = hashlib.sha256(str(data.absolute()).encode()).hexdigest()[:12]
    return f"@reachq-{folder}-{bench}"


def socket_address(address: str) -> str:
    """The address as socket.bind and socket.connect want it."""
    return "\0" + address[1:] if address.startswith("@") else address
