"""A comparison of two snapshots as the ledger stores and returns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from ledger.runs.soundness import is_number, number
from ledger.snapshots.records import is_facts

KEPT = 200
"""Number of comparisons that a network keeps; the oldest are forgotten. Their runs follow the retention of runs."""


@dataclass(frozen=True)
class Change:
    """The same questions for two snapshots. Times are in ms on Redis's clock."""

    id: str
    user: str
    created_ms: int
    before: str
    """Facts hash of the snapshot before the change."""
    after: str
    questions: int
    runs_before: tuple[str, ...]
    """Ids of the bulk runs that ask the questions in the snapshot `before`."""
    runs_after: tuple[str, ...]
    note: str = ""
    expectation: str = ""
    """Text of the YAML file that says what may change; "" if there is none."""
    guarded: tuple[int, ...] = ()
    """Lines of the questions that are management flows."""

    @property
    def runs(self) -> tuple[str, ...]:
        """Ids of all its runs."""
        return self.runs_before + self.runs_after


def record_of(change: Change) -> dict[str, str]:
    """Return the fields of the HASH that the caller determines. Lists are separated by spaces."""
    lists = {"runs_before": change.runs_before, "runs_after": change.runs_after, "guarded": change.guarded}
    texts = {"before": change.before, "after": change.after, "note": change.note, "expectation": change.expectation}
    return {
        **texts,
        "questions": str(change.questions),
        **{name: " ".join(map(str, some)) for name, some in lists.items()},
    }


def decode(change_id: str, record: Mapping[str, str]) -> Change | None:
    """Decode a HASH, or return None if it is missing or damaged."""
    text = {field.name: record.get(field.name, "") for field in fields(Change)}
    if not _is_sound(text):
        return None
    return Change(
        id=change_id,
        user=text["user"],
        created_ms=number(text["created_ms"]),
        before=text["before"],
        after=text["after"],
        questions=number(text["questions"]),
        runs_before=tuple(text["runs_before"].split()),
        runs_after=tuple(text["runs_after"].split()),
        note=text["note"],
        expectation=text["expectation"],
        guarded=tuple(number(line) for line in text["guarded"].split()),
    )


def _is_sound(text: Mapping[str, str]) -> bool:
    """Return whether a report can be made from these fields."""
    return (
        bool(text["user"] and text["runs_before"].split() and text["runs_after"].split())
        and is_facts(text["before"])
        and is_facts(text["after"])
        and number(text["questions"]) > 0
        and is_number(text["created_ms"])
        and all(map(is_number, text["guarded"].split()))
    )
