"""A run's record and its states. Code, documents and tests share one table of states."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dscp.lanes import LANE_FIRST, LANE_LAST
from ledger.redis.keys import LOCAL


class Mode(StrEnum):
    """Type of test: quick shares the bench with up to 31 others, detailed runs alone, bulk is many quick tests in one run.

    A bulk run has a lane, like a quick run.
    """

    QUICK = "quick"
    DETAILED = "detailed"
    BULK = "bulk"


SINGLE = (Mode.QUICK, Mode.DETAILED)
"""The modes of a run with one question, which a user chooses. Many questions make a bulk run."""


class State(StrEnum):
    """State of a run.

    `pending` runs wait in the queue, `promoted` and `running` ones hold a slot, the others have ended.
    """

    PENDING = "pending"
    PROMOTED = "promoted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: dict[State | None, dict[str, State]] = {
    None: {"submit": State.PENDING},
    State.PENDING: {"promote": State.PROMOTED, "cancel": State.CANCELLED, "set_aside": State.FAILED},
    State.PROMOTED: {
        "begin": State.RUNNING,
        "return": State.PENDING,
        "cancel": State.CANCELLED,
        "set_aside": State.FAILED,
    },
    State.RUNNING: {
        "finish": State.DONE,
        "fail": State.FAILED,
        "stop": State.CANCELLED,
        "return": State.PENDING,
        "exhaust": State.FAILED,
        "set_aside": State.FAILED,
    },
    State.DONE: {},
    State.FAILED: {},
    State.CANCELLED: {},
}
"""state -> {verb: next state}, as the scripts in ledger/lua make these changes.

`return` is made by reap.lua: the lease expired, the run was not begun in time, or its worker gave it back. It is `stop`
if the run is being cancelled, and `exhaust` if the run has no attempts left. `finish`, `fail` and `stop` are made by
finish.lua. `cancel` only marks a running run, and its worker then ends it with `stop`. `set_aside` is for a damaged
record.
"""

ENDED = frozenset(state for state, verbs in TRANSITIONS.items() if state is not None and not verbs)
HOLDS_SLOT = frozenset({State.PROMOTED, State.RUNNING})


class Service(BaseModel):
    """One service of a test. `port` is None for icmp."""

    model_config = ConfigDict(frozen=True)

    port: int | None
    protocol: str

    def __str__(self) -> str:
        return self.protocol if self.port is None else f"{self.port}/{self.protocol}"


Count = Annotated[int, Field(ge=0, lt=10**15)]
"""A number in a record. A larger value must be damage, and no date or JSON document could show it."""


class Run(BaseModel):
    """The whole record of a run as in its Redis HASH. Times are ms since 1970 on Redis's clock; 0 means not yet."""

    model_config = ConfigDict(frozen=True)

    id: str
    user: str = "api"
    mode: Mode
    bench: str = "main"
    source: str
    destination: str
    services: tuple[Service, ...]
    source_port: int | None = None
    questions: Annotated[int, Field(ge=1, lt=10**6)] = Field(
        1, description="number of questions; the record of a bulk run shows the first one"
    )
    snapshot: str = Field("", description="facts hash of the snapshot that it asks for; empty: the current one")
    state: State
    seq: Count = Field(0, description="order of submission on its bench, over all modes")
    turn: Count = Field(0, description="order of entry into the line, for a run that waited beyond it; 0: seq")
    attempt: Count = 0
    token: str = ""
    fence: Count = 0
    dscp: int | None = Field(None, description=f"lane held now or last, {LANE_FIRST}-{LANE_LAST}")
    host: str = Field(LOCAL, description="host whose bench tests it now or tested it last")
    worker: str = ""
    cancelling: bool = False
    wait_code: str = Field("", description="why it waits, as a code of compat_dispatcher.rules")
    wait_reason: str = Field("", description="the same as a sentence")
    verdict: str = ""
    stopped_by: str = Field(
        "",
        description="for lists: the routers that said no first, each with its rule's place; for a bulk run its counts",
    )
    error: str = ""
    submitted_ms: Count = 0
    promoted_ms: Count = 0
    started_ms: Count = 0
    finished_ms: Count = 0

    @property
    def forward_only(self) -> bool:
        """Whether the answer is a YES that covers only the forward path and not the return path."""
        return self.mode is not Mode.DETAILED and self.verdict == "YES"
