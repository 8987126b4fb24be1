"""Documents about the bench and the system's health, as pydantic models.

The command line prints the same ones with `--json`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import BaseModel, Field

from ledger.bench.health import Health as SystemHealth
from ledger.bench.health import Life, Trouble
from ledger.bench.processes import AnnouncedWorker, Leader
from ledger.redis.suitability import Level
from ledger.runs.records import Pause
from ledger.runs.run import Mode
from netlab.service.status import BenchReport


class TroubleDocument(BaseModel):
    """One fault of the system."""

    part: str = Field(description="redis, dispatcher, workers or bench")
    code: str
    level: Level = Field(
        description="blocking: runs of these modes (or all runs) cannot be tested; "
        "warning: should be fixed, but runs are still tested"
    )
    modes: list[Mode] = Field(description="no run of these modes can start")
    message: str = Field(description="what is wrong, and what to do")


@dataclass(frozen=True, slots=True)
class WorkerDocument(AnnouncedWorker):
    """A worker; `run` is empty when it is idle."""

    life: Life


class BenchDocument(BaseModel):
    """The bench's last report, the pause, the leading dispatcher and the workers."""

    bench: str
    status: dict[str, object] = Field(description="the fields of a BenchReport; empty: the bench has never reported")
    paused: Pause | None = Field(description="null: not paused")
    leader: Leader | None
    workers: list[WorkerDocument]
    troubles: list[TroubleDocument] = Field(description="faults, in the order in which to correct them")


class Health(BaseModel):
    """The process is up."""

    status: Literal["ok"]


class Readiness(Health):
    """A run submitted now would be tested."""

    warnings: list[str] = Field(description="faults to correct although runs are tested")


def bench_document(
    bench: str,
    report: BenchReport,
    *,
    paused: Pause | None,
    leader: Leader | None,
    workers: Iterable[AnnouncedWorker],
    health: SystemHealth,
) -> BenchDocument:
    """Return the document of a bench. A worker that the health does not contain counts as silent."""
    life = {worker.record.queue: worker.life for worker in health.workers}
    return BenchDocument(
        bench=bench,
        status=report.fields(),
        paused=paused,
        leader=leader,
        workers=[WorkerDocument(**asdict(worker), life=life.get(worker.queue, Life.SILENT)) for worker in workers],
        troubles=[trouble_document(trouble) for trouble in health.troubles],
    )


def trouble_document(trouble: Trouble) -> TroubleDocument:
    """Convert a trouble to its document."""
    return TroubleDocument(
        part=trouble.part,
        code=trouble.code,
        level=trouble.level,
        modes=sorted(trouble.modes),
        message=str(trouble),
    )
