"""Whether runs started in their turn, replayed from the event stream: the order compat_dispatcher/rules.py promises."""

from __future__ import annotations

from collections import Counter

from ledger.events import Kind
from ledger.runs.run import Mode, Run
from ledger.store import Ledger
from tests.support.history import LEAVES, all_events


def out_of_turn(ledger: Ledger, overtake_max: int) -> list[str]:
    """Runs promoted out of turn, or together with an incompatible run; one sentence for each.

    Runs start oldest first within a mode; no older run waits when a detailed run starts; the first waiting detailed run
    is passed by at most `overtake_max` younger quick ones. For runs whose records still exist.
    """
    waiting: dict[str, Run] = {}
    holding: dict[str, Run] = {}
    passed: Counter[str] = Counter()
    wrong = []
    for event in all_events(ledger):
        if event.kind is Kind.SUBMITTED:
            waiting[event.run_id] = ledger.run(event.run_id)
        elif event.kind in LEAVES:
            waiting.pop(event.run_id, None)
            left = holding.pop(event.run_id, None)
            if event.kind is Kind.RETURNED and left:
                waiting[event.run_id] = left
        elif event.kind is Kind.PROMOTED:
            run = waiting.pop(event.run_id)
            older = [other for other in waiting.values() if other.seq < run.seq]
            first = min((other for other in older if other.mode is Mode.DETAILED), key=lambda r: r.seq, default=None)
            if any(other.mode is run.mode for other in older) or (run.mode is Mode.DETAILED and older):
                wrong.append(f"{run.mode} run {run.seq} was promoted while {[o.seq for o in older]} waited")
            if any(Mode.DETAILED in (run.mode, other.mode) for other in holding.values()):
                wrong.append(f"{run.mode} run {run.seq} was promoted beside {[o.seq for o in holding.values()]}")
            if first:
                passed[first.id] += 1
                if passed[first.id] > overtake_max:
                    wrong.append(f"detailed run {first.seq} was passed by {passed[first.id]} younger ones")
            holding[event.run_id] = run
    return wrong
