"""The lanes of one bench, read from the ledger: free, lent and to whom, and whether the pool is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dscp.lanes import LANES, Lane
from ledger.store import AppLedger


@dataclass(frozen=True, slots=True)
class Pool:
    """All lanes as of one reading, in order of their DSCP value."""

    lanes: tuple[Lane, ...]

    @classmethod
    def read(cls, ledger: AppLedger) -> Pool:
        """The pool of the ledger's bench; one round trip."""
        return cls(tuple(ledger.lanes()))

    @property
    def free(self) -> tuple[int, ...]:
        """DSCP values nobody holds."""
        return tuple(lane.dscp for lane in self.lanes if not lane.leased)

    @property
    def leased(self) -> tuple[Lane, ...]:
        """Lanes lent, each with run, worker, fence and since when."""
        return tuple(lane for lane in self.lanes if lane.leased)

    def of_run(self, run_id: str) -> Lane | None:
        """The lane a run holds."""
        return next((lane for lane in self.leased if lane.run_id == run_id), None)

    def problems(self) -> list[str]:
        """What is wrong with the pool, in sentences; empty as it should be."""
        wrong = [f"lane {lane.dscp} is lent to nobody" for lane in self.leased if not lane.run_id]
        wrong += [f"lane {lane.dscp} is free, and run {lane.run_id} holds it" for lane in self.lanes if _kept(lane)]
        wrong += [f"run {run} holds several lanes" for run in _twice([lane.run_id for lane in self.leased])]
        wrong += [f"fence {fence} was given out twice" for fence in _twice([lane.fence for lane in self.leased])]
        if tuple(lane.dscp for lane in self.lanes) != tuple(LANES):
            wrong.append(f"the pool is not {LANES[0]}-{LANES[-1]}")
        return wrong


def _kept(lane: Lane) -> bool:
    return not lane.leased and bool(lane.run_id)


def _twice(values: Sequence[object]) -> list[object]:
    return sorted({value for value in values if values.count(value) > 1}, key=str)
