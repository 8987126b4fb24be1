"""The history of a bench, replayed from the event stream: who held a slot when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ledger.events import Event, Kind
from ledger.runs.run import Mode
from ledger.store import Ledger

LEAVES = frozenset({Kind.FINISHED, Kind.FAILED, Kind.CANCELLED, Kind.RETURNED})


def all_events(ledger: Ledger) -> list[Event]:
    """Every event still in the stream, oldest first."""
    return ledger.events("0", count=1_000_000)


def occupancy(ledger: Ledger) -> Iterator[Counter[Mode]]:
    """After each change of a bench, how many runs of each mode held its slots: of one network on one host."""
    slot_of: dict[str, tuple[Mode, str, str]] = {}
    for event in all_events(ledger):
        slot = slot_of.get(event.run_id)
        if event.kind is Kind.PROMOTED:
            slot = slot_of[event.run_id] = Mode(event.fields["mode"]), event.bench, event.fields["host"]
        elif event.kind in LEAVES:
            slot_of.pop(event.run_id, None)
        if slot:
            yield Counter(mode for mode, *bench in slot_of.values() if bench == [*slot[1:]])


def incompatible(ledger: Ledger) -> list[Counter[Mode]]:
    """Moments at which a bench held a forbidden combination: more than 32 quick, two detailed, or both modes."""
    return [
        slots
        for slots in occupancy(ledger)
        if slots[Mode.QUICK] > 32 or slots[Mode.DETAILED] > 1 or (slots[Mode.QUICK] and slots[Mode.DETAILED])
    ]


def count(ledger: Ledger, kind: Kind) -> Counter[str]:
    """How often each run had an event of this kind."""
    return Counter(event.run_id for event in all_events(ledger) if event.kind is kind)
