"""A lane as it is recorded: one DSCP value, 32-63, leased to one quick run at a time."""

from __future__ import annotations

from dataclasses import dataclass

LANE_FIRST = 32
LANE_LAST = 63
LANES = range(LANE_FIRST, LANE_LAST + 1)
"""The DSCP values that are lanes: the upper half of RFC 2474's 64 code points."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of a host's bench. The fields about the holder are empty while it is free. The token is never included."""

    dscp: int
    leased: bool
    host: str = "local"
    run_id: str = ""
    worker: str = ""
    fence: int = 0
    since_ms: int = 0

    def __str__(self) -> str:
        return str(self.dscp) if self.host == "local" else f"{self.dscp} of host {self.host}"

    @property
    def state(self) -> str:
        """State of the lane, `free` or `leased`."""
        return "leased" if self.leased else "free"
