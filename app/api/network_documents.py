"""The documents of networks in the API and in `--json`."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field

from ledger.networks.records import Network


class NetworkDocument(BaseModel):
    """A network of this installation."""

    name: str = Field(description="name of the network")
    current: str = Field(description="facts hash of the snapshot that the network answers from; empty: it has none")
    created_ms: int = Field(description="when it was added, in ms since 1970; 0: it is in the settings only")
    default: bool = Field(description="whether it is used where no other is named")

    @classmethod
    def of(cls, network: Network, *, own: str) -> Self:
        """Return the document of a network. `own` is the network of the settings."""
        return cls(
            name=network.name, current=network.current, created_ms=network.created_ms, default=network.name == own
        )


class NetworkList(BaseModel):
    """All networks of this installation."""

    networks: list[NetworkDocument]
