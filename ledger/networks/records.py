"""Networks as the ledger returns them."""

from __future__ import annotations

from dataclasses import dataclass

NETWORKS_MAX = 32
"""Maximum number of networks of an installation. Each has its own pool of workers on every host."""


@dataclass(frozen=True)
class Network:
    """A network of this installation. `created_ms` is on Redis's clock; 0 if the network was never added.

    `current` is the facts hash of the snapshot that it answers from, or "" if it has none.
    """

    name: str
    created_ms: int
    current: str
