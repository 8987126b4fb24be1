"""The document that says what a change does to the answers. Pure.

It is served as JSON, printed in a terminal and written as Markdown and CSV. Texts come from the facts: escape them
before printing.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from netlab.facts.changes.document import FactsChanges
from netlab.results.document import Rule, Verdict
from netlab.results.services import spell

SCHEMA: Final = 1

Class = Literal["lost", "undetermined", "gained", "rerouted", "other-rule", "same"]
LOST: Final = "lost"
UNDETERMINED: Final = "undetermined"
GAINED: Final = "gained"
REROUTED: Final = "rerouted"
OTHER_RULE: Final = "other-rule"
SAME: Final = "same"
CHANGED: tuple[Class, ...] = (LOST, UNDETERMINED, GAINED, REROUTED, OTHER_RULE)
"""The classes of changed cells, worst first."""


class CellAnswer(Struct, frozen=True, gc=False):
    """The answer for one cell in one snapshot."""

    result: Verdict
    path: Annotated[tuple[str, ...], Meta(description="the routers that the packet passed, in order")]
    blocked_by: Annotated[tuple[str, ...], Meta(description="the routers that blocked it, the first one first")]
    rule: Annotated[Rule | None, Meta(description="the rule by which the first of these routers blocked it")]
    reason: Annotated[str | None, Meta(description="the reason, if no rule blocked it")]
    depends_on: Annotated[
        tuple[str, ...], Meta(description="the caveats that could change an answer of the question")
    ] = ()
    caveats: Annotated[tuple[str, ...], Meta(description="all caveats of the question")] = ()

    @property
    def blocker(self) -> str:
        """The first router that blocked it; "" if none did."""
        return self.blocked_by[0] if self.blocked_by else ""


class CellChange(Struct, frozen=True, kw_only=True, gc=False):
    """One cell before and after the change."""

    kind: Annotated[Class, Meta(description="`same` only in `noted`")] = SAME
    line: Annotated[int, Meta(description="line of the question in what the user submitted, from 1")]
    source: str
    source_port: int | None
    destination: str
    port: Annotated[int, Meta(ge=1, le=65535)] | None
    protocol: str
    guarded: Annotated[bool, Meta(description="whether this is a management flow of the network")]
    lock_out: Annotated[
        bool, Meta(description="whether this is a management flow whose result changed and is not YES after the change")
    ]
    before: CellAnswer
    after: CellAnswer
    sentence: Annotated[str, Meta(description="what changed, in one sentence")]

    @property
    def service(self) -> str:
        """The service, such as `443/tcp`."""
        return spell(self.port, self.protocol)


class ImpactCounts(Struct, frozen=True, kw_only=True):
    """Numbers of cells: of each class, and of some of their properties."""

    lost: Annotated[int, Meta(description="YES before, NO after")] = 0
    undetermined: Annotated[
        int, Meta(description="UNKNOWN before or after the change, and not the same on both sides")
    ] = 0
    gained: Annotated[int, Meta(description="NO before, YES after")] = 0
    rerouted: Annotated[int, Meta(description="YES before and after, through other routers")] = 0
    other_rule: Annotated[int, Meta(description="NO before and after, because of another rule, router or reason")] = 0
    same: int = 0
    unknown: Annotated[int, Meta(description="those of `same` that are UNKNOWN before and after")] = 0
    noted: Annotated[int, Meta(description="those of `same` in which something else differs")] = 0
    lock_outs: Annotated[int, Meta(description="management flows whose result changed and is not YES after")] = 0
    questions: int = 0

    @property
    def changed(self) -> int:
        """Number of cells that are not the same."""
        return self.lost + self.undetermined + self.gained + self.rerouted + self.other_rule

    @property
    def cells(self) -> int:
        """Number of all cells."""
        return self.changed + self.same


class Impact(Struct, frozen=True, kw_only=True):
    """What a change of the facts does to the answers for a list of questions."""

    summary: Annotated[
        str, Meta(description="one line, such as `3 cells lost, 494 the same (497 cells of 9 questions)`")
    ]
    before: Annotated[str, Meta(description="hash of the facts before the change")]
    after: Annotated[str, Meta(description="hash of the facts after the change")]
    counts: Annotated[ImpactCounts, Meta(description="of all cells, even if `filter` hides some")]
    cells: Annotated[tuple[CellChange, ...], Meta(description="the changed cells, in the order of the questions")]
    noted: Annotated[
        tuple[CellChange, ...],
        Meta(description="unchanged cells with other caveats, or with another path to the same blocking rule"),
    ]
    changes: Annotated[FactsChanges, Meta(description="what changed in the facts")]
    filter: Annotated[str, Meta(description="which cells are listed; empty for all")] = ""
    schema: int = SCHEMA

    @property
    def lock_outs(self) -> tuple[CellChange, ...]:
        """The listed cells of management flows whose result changed and is not YES after the change."""
        return tuple(cell for cell in self.cells if cell.lock_out)
