"""Cancel all runs that match: which ones, in the surplus, in the line and on the bench."""

from __future__ import annotations

import uuid

import pytest
import redis

from ledger.errors import BadInput
from ledger.runs import cancelling
from ledger.runs.cancelling import CancelCount, Choice
from ledger.runs.run import Mode, Run, State
from ledger.store import Ledger
from tests.support.runs import a_request, kinds, promoted, running, submitted


def asked(ledger: Ledger, user: str, mode: Mode = Mode.QUICK, services: str = "443/tcp", to: str = "10.3.20.8") -> Run:
    """A waiting run of a user. Its id does not begin like a port."""
    return ledger.submit(a_request(mode, services, destination=to), user=user, run_id=f"f{str(uuid.uuid4())[1:]}")[0]


def states(ledger: Ledger, *runs: Run) -> list[str]:
    """The states now."""
    return [ledger.run(run.id).state for run in runs]


def test_all_of_a_user_end_also_those_beyond_the_line(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "AT_ONCE", 7)
    mine = [asked(ledger, "ann", mode) for mode in (*[Mode.QUICK] * 50, *[Mode.DETAILED] * 40)]
    other = asked(ledger, "bob")
    assert ledger.cancel_matching(Choice(user="ann"), by="ann") == CancelCount(90, 0)
    assert {ledger.run(run.id).state for run in mine} == {State.CANCELLED}
    assert [waiter.run_id for waiter in ledger.view().waiting] == [other.id]
    assert ledger.view().waiting_total == {Mode.QUICK: 1, Mode.DETAILED: 0, Mode.BULK: 0}
    assert kinds(ledger).count("cancelled") == 90


def test_a_started_run_is_ended_and_a_running_one_is_asked_to_stop_once(ledger: Ledger) -> None:
    begun, started, waiting = running(ledger), promoted(ledger, number=1), submitted(ledger)
    assert ledger.cancel_matching(Choice(), by="ada") == CancelCount(2, 1)
    assert states(ledger, started, waiting) == ["cancelled", "cancelled"]
    assert ledger.run(begun.id).cancelling
    assert ledger.cancel_matching(Choice(), by="ada") == CancelCount(0, 0)
    assert ledger.stopped(begun.id, begun.token)
    assert states(ledger, begun) == ["cancelled"]


@pytest.mark.parametrize(
    ("choice", "matching"),
    [
        (Choice(), {"quick", "detailed", "web", "dns", "far"}),
        (Choice(mode=Mode.DETAILED), {"detailed"}),
        (Choice(state=State.RUNNING), set()),
        (Choice(text="53"), {"dns"}),
        (Choice(text="53/udp"), {"dns"}),
        (Choice(text="53/tcp"), set()),
        (Choice(text="5"), set()),
        (Choice(text="10.9. 8080"), {"far"}),
        (Choice(text="10.1"), {"quick", "detailed", "web", "dns", "far"}),
        (Choice(text="10.3"), {"quick", "detailed", "web", "dns"}),
        (Choice(user="bob", text="8080/TCP"), {"web"}),
    ],
    ids=lambda value: ",".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_only_what_matches_is_cancelled_and_it_is_what_the_list_finds(
    ledger: Ledger, choice: Choice, matching: set[str]
) -> None:
    runs = {
        "quick": asked(ledger, "ann", services="443/tcp"),
        "detailed": asked(ledger, "ann", Mode.DETAILED, services="443/tcp"),
        "web": asked(ledger, "bob", services="8080/tcp"),
        "dns": asked(ledger, "bob", services="22/tcp,53/udp"),
        "far": asked(ledger, "ann", services="8080/tcp", to="10.9.0.1"),
    }
    listed, total = ledger.search(user=choice.user, mode=choice.mode, state=choice.state, text=choice.text)
    assert {run.id for run in listed} == {runs[name].id for name in matching}
    assert {run.id for part in ledger.matching(choice) for run in part} == {run.id for run in listed}
    assert ledger.cancel_matching(choice, by="ada") == CancelCount(total, 0)
    assert {name for name, run in runs.items() if ledger.run(run.id).state is State.CANCELLED} == matching


def test_a_run_that_is_submitted_later_is_not_cancelled(ledger: Ledger) -> None:
    early = asked(ledger, "ann", Mode.DETAILED)
    parts = ledger.matching(Choice())
    first = next(parts)
    late = asked(ledger, "ann")
    assert [run.id for part in (first, *parts) for run in part] == [early.id]
    assert ledger.run(late.id).state is State.PENDING


def test_a_damaged_run_does_not_keep_the_others(ledger: Ledger, client: redis.Redis) -> None:
    damaged, sound = submitted(ledger), submitted(ledger)
    client.delete(f"reachq:run:{damaged.id}")
    client.rpush(f"reachq:run:{damaged.id}", "x")
    assert ledger.cancel_matching(Choice(), by="ada") == CancelCount(1, 0)
    assert states(ledger, sound) == ["cancelled"]
    client.flushall()  # the dispatcher, which sets the damaged run aside, is not part of this test


def test_a_choice_that_no_run_can_have_is_refused(ledger: Ledger) -> None:
    with pytest.raises(BadInput, match="use pending, promoted or running"):
        ledger.cancel_matching(Choice(state=State.DONE), by="ada")
    with pytest.raises(BadInput, match="at most 200 characters"):
        ledger.cancel_matching(Choice(text="x" * 201), by="ada")
