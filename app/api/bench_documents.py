"""What the API says of the bench and of the system's health, as pydantic models; the CLI prints the same with `--json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from ledger.suitability import Finding, Level


class PauseDocument(BaseModel):
    """Who paused the bench, why (empty: not said), and since when."""

    by: str
    why: str
    since_ms: int


class FindingDocument(BaseModel):
    """Something that is wrong with the Redis server."""

    code: str
    level: Level
    message: str = Field(description="what is wrong, and what to do")


class BenchDocument(BaseModel):
    """The bench as it last reported itself, whether it is paused, the leader of the dispatchers and the workers."""

    bench: str
    status: dict[str, Any]
    paused: PauseDocument | None = Field(description="null: what waits is started")
    leader: dict[str, Any] | None
    workers: list[dict[str, Any]]
    redis: list[FindingDocument] = Field(description="what is wrong with the Redis server, the worst first")


class Health(BaseModel):
    """The process is up."""

    status: Literal["ok"]


class Readiness(Health):
    """A run submitted now would be tested."""

    warnings: list[str] = Field(description="what does not keep runs from being tested but should be corrected")


def finding_document(finding: Finding) -> dict[str, Any]:
    """The FindingDocument of a finding."""
    return {"code": finding.code, "level": str(finding.level), "message": str(finding)}
