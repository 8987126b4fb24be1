"""Compares the impact of a change with what is expected of it. Pure."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from app.answers.impact.document import UNDETERMINED, CellChange, Impact
from app.answers.impact.expectation import NOTHING, Expectation, ExpectedChange, matches

AS_EXPECTED: Final = 0
"""Nothing changed, or exactly what was expected."""
UNEXPECTED: Final = 1
"""A change that was not expected, an expected one that did not occur, or a possible lock-out."""
NOT_KNOWN: Final = 3
"""Nothing unexpected, but a result is unknown on one of the sides, or for another reason than before."""


class Judgement(Struct, frozen=True):
    """What about an impact differs from the expectation."""

    lock_outs: Annotated[
        tuple[CellChange, ...], Meta(description="management flows that changed and are not YES; never acceptable")
    ]
    unexpected: Annotated[tuple[CellChange, ...], Meta(description="changed cells that no entry announces")]
    missing: Annotated[tuple[ExpectedChange, ...], Meta(description="entries of which no cell changed as announced")]
    undetermined: Annotated[int, Meta(description="number of changed cells with an unknown result")]
    exit_code: Annotated[int, Meta(description="0: as expected; 1: not as expected; 3: some results are unknown")]

    @property
    def text(self) -> str:
        """The judgement in one sentence."""
        parts = [
            _counted(len(self.lock_outs), "possible lock-out", "possible lock-outs"),
            _counted(len(self.unexpected), "unexpected change", "unexpected changes"),
            _counted(len(self.missing), "expected change did not occur", "expected changes did not occur"),
            _counted(self.undetermined, "undetermined cell", "undetermined cells"),
        ]
        return f"Not as expected: {found}." if (found := ", ".join(filter(None, parts))) else "As expected."


def judge(impact: Impact, expectation: Expectation = NOTHING) -> Judgement:
    """Compare an impact with an expectation.

    An entry occurred if at least one cell changed as it announces. An undetermined cell is never unexpected and fulfils
    no entry. A lock-out is never expected. Raises ValueError for a filtered impact, which lacks cells.
    """
    if impact.filter:
        raise ValueError("a filtered impact cannot be judged: judge it before it is filtered")
    unexpected, occurred = [], set()
    for change in impact.cells:
        if change.kind == UNDETERMINED:
            continue
        found = [number for number, entry in enumerate(expectation.entries) if matches(entry, change)]
        occurred.update(found)
        if not found and change.kind not in expectation.anything:
            unexpected.append(change)
    missing = tuple(entry for number, entry in enumerate(expectation.entries) if number not in occurred)
    undetermined = impact.counts.undetermined
    code = exit_code(failures=len(impact.lock_outs) + len(unexpected) + len(missing), undetermined=undetermined)
    return Judgement(impact.lock_outs, tuple(unexpected), missing, undetermined, code)


def exit_code(*, failures: int, undetermined: int) -> int:
    """Return the exit code for this number of failures and of undetermined cells."""
    if failures:
        return UNEXPECTED
    return NOT_KNOWN if undetermined else AS_EXPECTED


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}" if number else ""
