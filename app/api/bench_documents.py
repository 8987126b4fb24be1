"""Documents about the bench and the system's health, as pydantic models.

The command line prints the same ones with `--json`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from ledger.bench.health import Health as SystemHealth
from ledger.bench.health import Life, Trouble
from ledger.redis.suitability import Level
from ledger.runs.run import Mode


class PauseDocument(BaseModel):
    """Who paused the bench, why (empty: no reason given), and since when."""

    by: str
    why: str
    since_ms: int


class TroubleDocument(BaseModel):
    """One fault of the system."""

    part: str = Field(description="redis, dispatcher, workers or bench")
    code: str
    level: Level = Field(
        description="blocking: runs of these modes, or all, are not tested; warning: correct it although runs are tested"
    )
    modes: list[Mode] = Field(description="no run of these modes can start")
    message: str = Field(description="what is wrong, and what to do")


class BenchDocument(BaseModel):
    """The bench's last report, the pause, the leading dispatcher and the workers."""

    bench: str
    status: dict[str, Any]
    paused: PauseDocument | None = Field(description="null: not paused")
    leader: dict[str, Any] | None
    workers: list[dict[str, Any]] = Field(description="each with its `life`: alive, silent or hung")
    troubles: list[TroubleDocument] = Field(description="faults, in the order in which to correct them")


class Health(BaseModel):
    """The process is up."""

    status: Literal["ok"]


class Readiness(Health):
    """A run submitted now would be tested."""

    warnings: list[str] = Field(description="faults to correct although runs are tested")


def trouble_document(trouble: Trouble) -> dict[str, Any]:
    """Convert a trouble to its TroubleDocument."""
    return {
        "part": trouble.part,
        "code": trouble.code,
        "level": str(trouble.level),
        "modes": sorted(trouble.modes),
        "message": str(trouble),
    }


def with_life(workers: list[dict[str, Any]], health: SystemHealth) -> list[dict[str, Any]]:
    """Return the workers of the ledger, each with its `life`.

    A worker that the health does not contain counts as silent.
    """
    life = {worker.record.queue: str(worker.life) for worker in health.workers}
    return [worker | {"life": life.get(worker["queue"], str(Life.SILENT))} for worker in workers]
