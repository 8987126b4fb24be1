"""The documents of hosts in the API and in `--json`."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field

from dscp.lanes import LANES
from ledger.bench.hosts import HostState
from ledger.runs.records import Pause
from ledger.runs.run import Mode


class HostDocument(BaseModel):
    """A host: a machine with a bench service and a worker pool."""

    name: str = Field(description="name of the host, as set by REACHQ_HOST_NAME")
    bench: str = Field(
        description="state of its bench: up, away, restarting, silent, or unknown (it has never reported)"
    )
    error: str = Field(description="why its bench is not up; empty: it is up, or there is no reason")
    facts: str = Field(description="hash of the facts that its bench has; empty: unknown")
    reported_ms: int = Field(description="when its bench last reported, in ms since 1970; 0: never")
    workers: dict[Mode, int] = Field(description="number of live workers of each mode")
    running: int = Field(description="number of runs that its workers have")
    lanes: int = Field(description="number of its lanes")
    lanes_in_use: int = Field(description="number of its lanes that are leased to quick and bulk runs")
    machines: list[str] = Field(
        description="names of the machines with live workers; more than one: machines share the host's name by mistake"
    )
    drained: Pause | None = Field(description="who drained the host, why, and since when; null: not drained")

    @classmethod
    def of(cls, host: HostState) -> Self:
        """Return the document of a host."""
        return cls(
            name=host.name,
            bench=host.bench,
            error=host.error,
            facts=host.facts,
            reported_ms=host.reported_ms,
            workers=host.workers,
            running=host.running,
            lanes=len(LANES),
            lanes_in_use=host.lanes_in_use,
            machines=list(host.machines),
            drained=host.drain,
        )


class HostList(BaseModel):
    """All hosts that test runs of this network."""

    hosts: list[HostDocument]
