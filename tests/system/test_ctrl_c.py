"""A Ctrl-C ends a waiting command wherever it arrives: at any line, and where Python or a library swallows exceptions.

The first version raised KeyboardInterrupt once, in the code that happened to run. In a finalizer it was lost and the
command waited on; between the moment the run was stored and the start of the wait, `submit --wait` ended as if nothing
had been stored.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.patience import patience
from tests.support.runs import leading
from tests.support.waiting import wait_until
from tests.system.running import ROOT, clean_environment

SUBMIT = ("submit", "10.1.10.20", "10.3.20.8", "80")
WAIT = (*SUBMIT, "--wait")
RESTART = ("bench", "restart")
LOCK_MS = 10_000
"""Lifetime of a leader's lock: long enough that a busy machine does not let it expire."""
Signalled = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def signalled(settings: Settings) -> Signalled:
    """Runs tests.support.signalled: each outcome as {"code": …, "said": …}."""
    environment = {
        **clean_environment(),
        "REACHQ_REDIS_URL": settings.redis_url,
        "REACHQ_DATA": str(settings.data),
        "REACHQ_LEADER_MS": str(LOCK_MS),
    }

    def run(*point: object, words: tuple[str, ...] = WAIT) -> list[dict[str, Any]]:
        nothing, typing = os.pipe()  # a terminal without input
        try:
            done = subprocess.run(
                [sys.executable, "-m", "tests.support.signalled", *map(str, point), "--", *words],
                cwd=ROOT, env=environment, stdin=nothing, capture_output=True, text=True, check=True,
                timeout=patience(90),
            )  # fmt: skip
        finally:
            os.close(nothing)
            os.close(typing)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


@pytest.mark.parametrize("words", [WAIT, SUBMIT], ids=" ".join)
def test_at_any_line_it_ends_and_says_what_becomes_of_the_run(
    signalled: Signalled, ledger: Ledger, words: tuple[str, ...]
) -> None:
    outcomes = signalled("lines", 1, 1500, 11, words=words)
    hit = [one for one in outcomes if "at /" in one["said"]]
    assert len(hit) > 30
    for one in hit:
        assert "Traceback" not in one["said"], one
        if "continues" in one["said"] or "if it was stored" in one["said"]:
            assert one["code"] == 4, one
        else:  # after the wait, or with nothing to wait for
            assert words == SUBMIT, one
            assert one["code"] in (0, 130, -2), one  # -2: the command had ended, its process was ending
    if words == WAIT:
        assert sum("continues" in one["said"] for one in hit) > 30
    for run in ledger.runs(limit=500)[0]:
        ledger.cancel(run.id)


@pytest.mark.parametrize("place", ["finalizer", "callback", "library"])
def test_where_exceptions_are_swallowed_it_ends_all_the_same(signalled: Signalled, place: str) -> None:
    (one,) = signalled(place)
    assert one["code"] == 4, one
    assert "continues" in one["said"]


@pytest.mark.parametrize("place", ["finalizer", "callback", "library"])
def test_at_a_prompt_too(signalled: Signalled, ledger: Ledger, place: str) -> None:
    leading(ledger)
    (one,) = signalled(place, words=RESTART)
    assert one["code"] == 130, one
    assert one["said"].endswith("reachq: interrupted\n")
    assert "Traceback" not in one["said"]
    assert ledger.take_restart() is None


def test_a_second_one_ends_the_process_at_once(signalled: Signalled) -> None:
    (one,) = signalled("twice")
    assert one["code"] == -2, one


def test_while_the_command_is_being_loaded(signalled: Signalled, ledger: Ledger) -> None:
    (one,) = signalled("import")
    assert one == {"code": -2, "said": ""}
    assert ledger.runs()[1] == 0


@pytest.fixture
def another_leads(settings: Settings) -> Iterator[None]:
    """Another dispatcher leads as long as the test lasts."""
    over = threading.Event()

    def keep(ledger: Ledger) -> None:
        leading(ledger)
        while not over.wait(0.1):
            leading(ledger)

    with Ledger.connect(settings.model_copy(update={"leader_ms": LOCK_MS})) as ledger:
        thread = threading.Thread(target=keep, args=(ledger,))
        thread.start()
        wait_until(ledger.leader, 5, "it leads")
        yield
        over.set()
        thread.join(patience(5))


@pytest.mark.usefixtures("another_leads")
def test_a_dispatcher_that_waits_stops_at_any_line(signalled: Signalled) -> None:
    """A follower: with a handler that set an Event, a signal inside that Event's `wait` stopped nothing for ever."""
    outcomes = signalled("dispatcher", 1, 900, 5, words=())
    in_wait = [one for one in outcomes if "at /" in one["said"]]
    assert len(in_wait) > 100
    assert [one for one in in_wait if one["code"] != 0] == []
