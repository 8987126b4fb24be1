"""What the API says of the bench and of the system's health, as pydantic models; the CLI prints the same with `--json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from ledger.bench.health import Health as SystemHealth
from ledger.bench.health import Life, Trouble
from ledger.redis.suitability import Level
from ledger.runs.run import Mode


class PauseDocument(BaseModel):
    """Who paused the bench, why (empty: not said), and since when."""

    by: str
    why: str
    since_ms: int


class TroubleDocument(BaseModel):
    """Something that is wrong."""

    part: str = Field(description="redis, dispatcher, workers or bench")
    code: str
    level: Level = Field(
        description="blocking: runs of these modes, or all, are not tested; warning: correct it all the same"
    )
    modes: list[Mode] = Field(description="no run of these modes can start")
    message: str = Field(description="what is wrong, and what to do")


class BenchDocument(BaseModel):
    """The bench as it last reported itself, whether it is paused, the leader of the dispatchers and the workers."""

    bench: str
    status: dict[str, Any]
    paused: PauseDocument | None = Field(description="null: what waits is started")
    leader: dict[str, Any] | None
    workers: list[dict[str, Any]] = Field(description="each with its `life`: alive, silent or hung")
    troubles: list[TroubleDocument] = Field(description="what is wrong, in the order in which one would correct it")


class Health(BaseModel):
    """The process is up."""

    status: Literal["ok"]


class Readiness(Health):
    """A run submitted now would be tested."""

    warnings: list[str] = Field(description="what does not keep runs from being tested but should be corrected")


def trouble_document(trouble: Trouble) -> dict[str, Any]:
    """The TroubleDocument of a trouble."""
    return {
        "part": trouble.part,
        "code": trouble.code,
        "level": str(trouble.level),
        "modes": sorted(trouble.modes),
        "message": str(trouble),
    }


def with_life(workers: list[dict[str, Any]], health: SystemHealth) -> list[dict[str, Any]]:
    """The workers as the ledger lists them, each with its `life`; one that the health does not know is silent."""
    life = {worker.record.queue: str(worker.life) for worker in health.workers}
    return [worker | {"life": life.get(worker["queue"], str(Life.SILENT))} for worker in workers]
