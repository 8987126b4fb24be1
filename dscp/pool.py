"""The lanes of all hosts: which are free, which run holds each of the others, and whether the pool is consistent.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dscp.lanes import LANE_FIRST, LANE_LAST, LANES, Lane


@dataclass(frozen=True, slots=True)
class Pool:
    """All lanes as found by one reading, host after host and in order of their DSCP value."""

    lanes: tuple[Lane, ...]

    @property
    def free(self) -> tuple[int, ...]:
        """DSCP values of the free lanes."""
        return tuple(lane.dscp for lane in self.lanes if not lane.leased)

    @property
    def leased(self) -> tuple[Lane, ...]:
        """The leased lanes, each with run, worker, fence and start time."""
        return tuple(lane for lane in self.lanes if lane.leased)

    def of_run(self, run_id: str) -> Lane | None:
        """Return the lane that a run holds, or None."""
        return next((lane for lane in self.leased if lane.run_id == run_id), None)

    def problems(self) -> list[str]:
        """Return the problems of the pool as sentences; empty if there are none."""
        wrong = [f"lane {lane} is leased to no run" for lane in self.leased if not lane.run_id]
        wrong += [
            f"lane {lane} is free, but run {lane.run_id} holds it"
            for lane in self.lanes
            if lane.run_id and not lane.leased
        ]
        wrong += [f"run {run} holds several lanes" for run in _repeated([lane.run_id for lane in self.leased])]
        wrong += [f"fence {fence} was issued twice" for fence in _repeated([lane.fence for lane in self.leased])]
        for host in dict.fromkeys(lane.host for lane in self.lanes) or [""]:
            if tuple(lane.dscp for lane in self.lanes if lane.host == host) != tuple(LANES):
                wrong.append(f"the lanes are not {LANE_FIRST}-{LANE_LAST}")
        return wrong


def lasting_problems(lanes: Sequence[Lane], read_again: Callable[[], Sequence[Lane]]) -> list[str]:
    """Return those problems of `lanes` that a second reading also shows.

    One reading consists of several commands, and a run may get or return a lane between them.
    """
    problems = Pool(tuple(lanes)).problems()
    if not problems:
        return []
    again = Pool(tuple(read_again())).problems()
    return [problem for problem in problems if problem in again]


def _repeated(values: Sequence[object]) -> list[object]:
    return sorted({value for value in values if value and values.count(value) > 1}, key=str)
