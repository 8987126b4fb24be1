"""Texts of a run's page about the run: its timeline, the ticket, the commands for a terminal."""

from __future__ import annotations

import shlex
from typing import Any

from app.answers.sentences import sentences
from app.answers.story import commands, ended_in_words, ticket, timeline
from ledger.runs.records import ProgressEntry
from ledger.runs.requests import RunRequest
from ledger.runs.run import Mode, Run, Service, State
from tests.support.results import read, sample


def run(**fields: Any) -> Run:
    usual: dict[str, Any] = {
        "id": "5a5a5a5a-0000-4000-8000-000000000000", "user": "anna", "mode": Mode.QUICK, "source": "10.1.10.20",
        "destination": "10.3.20.8", "services": (Service(port=22, protocol="tcp"), Service(port=None, protocol="icmp")),
        "state": State.PENDING, "submitted_ms": 1000,
    }  # fmt: skip
    return Run(**usual | fields)


def marks(**fields: Any) -> list[tuple[str, str]]:
    return [(step.mark, step.words) for step in timeline(run(**fields), fields.get("log", []))]


def test_the_way_of_a_run() -> None:
    assert marks()[1:] == [("now", "Waiting"), ("next", "Runs on the bench"), ("next", "Answered")]
    assert marks(attempt=1)[1] == ("now", "Waiting, attempt 2")
    assert marks(state=State.RUNNING, promoted_ms=1100, started_ms=1105, dscp=40, worker="w")[1:] == [
        ("past", "Started on lane 40"), ("past", "Worker w"), ("now", "On the bench"), ("next", "Answered"),
    ]  # fmt: skip
    assert marks(state=State.RUNNING, cancelling=True, started_ms=1)[-2] == ("now", "Being cancelled")
    assert marks(state=State.FAILED, error="no bench", finished_ms=2000)[-1] == ("ill", "Failed: no bench")
    assert marks(state=State.CANCELLED, finished_ms=2000)[-1] == ("ill", "Cancelled")


def test_times_count_from_the_question() -> None:
    steps = timeline(run(state=State.DONE, promoted_ms=1200, started_ms=1210, finished_ms=1300), [])
    assert [step.after_ms for step in steps] == [None, 200, 210, 300]


def test_the_phases_of_this_attempt_only() -> None:
    log = [ProgressEntry(900, "path", 5, "lost attempt"), ProgressEntry(1300, "capture", 40, "listening")]
    words = [step.words for step in timeline(run(mode=Mode.DETAILED, state=State.RUNNING, started_ms=1200), log)]
    assert "listening" in words
    assert "lost attempt" not in words


def test_how_long_it_took_and_waited() -> None:
    asked = {"submitted_ms": 1000, "finished_ms": 19_700}
    assert ended_in_words(run(state=State.DONE, promoted_ms=19_600, **asked)) == "Answered after 18.7 s; waited 18.6 s"
    assert ended_in_words(run(state=State.DONE, promoted_ms=1000, **asked)) == "Answered after 18.7 s"
    assert ended_in_words(run(state=State.CANCELLED, **asked)) == "Cancelled after 18.7 s"
    assert ended_in_words(run(state=State.RUNNING, promoted_ms=1100)) == ""


def test_what_is_copied_ends_with_when_on_which_facts_and_where() -> None:
    document = sample("quick")
    asked = run(state=State.DONE, finished_ms=1_795_655_000_000)
    lines = ticket(sentences(read(document)), asked, "b17e42431a16ffff", "http://x/runs/1").splitlines()
    assert len(lines) == len(sentences(read(document))) + 1
    assert lines[-1] == "reachq, 2026-11-26 01:03 UTC, facts b17e42431a16, http://x/runs/1"


def test_only_admins_are_shown_redis() -> None:
    assert "In Redis" in dict(commands(run(), "http://x", admin=True))
    assert "In Redis" not in dict(commands(run(), "http://x", admin=False))


def test_the_command_asks_the_same_question() -> None:
    asked = run(mode=Mode.DETAILED, source_port=4000)
    words = shlex.split(dict(commands(asked, "http://x", admin=True))["Test again"])
    assert words[:2] == ["reachq", "submit"]
    source, destination, services = words[2:5]
    parsed = RunRequest.parse(source, destination, services, mode="detailed", source_port=4000)
    assert (parsed.source, parsed.destination, parsed.services) == (asked.source, asked.destination, asked.services)
    assert words[5:] == ["--mode", "detailed", "--source-port", "4000", "--wait"]
