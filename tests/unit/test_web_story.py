"""What a run's page says: its way, a sentence an answer, the same question elsewhere."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from app.web.story import commands, no_services, sentences, way
from ledger.requests import RunRequest
from ledger.runs import Mode, Run, Service, State

SAMPLES = Path(__file__).with_name("samples")


def run(**fields: Any) -> Run:
    usual: dict[str, Any] = {
        "id": "5a5a5a5a-0000-4000-8000-000000000000", "user": "anna", "mode": Mode.QUICK, "source": "10.1.10.20",
        "destination": "10.3.20.8", "services": (Service(port=22, protocol="tcp"), Service(port=None, protocol="icmp")),
        "state": State.PENDING, "submitted_ms": 1000,
    }  # fmt: skip
    return Run(**usual | fields)


def marks(**fields: Any) -> list[tuple[str, str]]:
    return [(step.mark, step.words) for step in way(run(**fields), fields.get("log", []))]


def test_the_way_of_a_run() -> None:
    assert marks()[1:] == [("now", "Waits for its turn"), ("next", "Runs on the bench"), ("next", "Answered")]
    assert marks(attempt=1)[1] == ("now", "Waits for its turn, attempt 2")
    assert marks(state=State.RUNNING, promoted_ms=1100, started_ms=1105, dscp=40, worker="w")[1:] == [
        ("past", "Its turn, lane 40 is its own"), ("past", "Begun by w"), ("now", "On the bench"), ("next", "Answered"),
    ]  # fmt: skip
    assert marks(state=State.RUNNING, cancelling=True, started_ms=1)[-2] == ("now", "Being cancelled")
    assert marks(state=State.FAILED, error="no bench", finished_ms=2000)[-1] == ("ill", "Failed: no bench")
    assert marks(state=State.CANCELLED, finished_ms=2000)[-1] == ("ill", "Cancelled")


def test_times_count_from_the_question() -> None:
    steps = way(run(state=State.DONE, promoted_ms=1200, started_ms=1210, finished_ms=1300), [])
    assert [step.after_ms for step in steps] == [None, 200, 210, 300]


def test_the_phases_of_this_attempt_only() -> None:
    log = [{"ms": 900, "phase": "path", "percent": 5, "message": "lost attempt"}, {"ms": 1300, "message": "listening"}]
    words = [step.words for step in way(run(mode=Mode.DETAILED, state=State.RUNNING, started_ms=1200), log)]
    assert "listening" in words
    assert "lost attempt" not in words


@pytest.fixture(scope="module")
def quick() -> dict[str, Any]:
    return dict(json.loads((SAMPLES / "quick.json").read_text()))


def test_a_quick_answer_in_sentences(quick: dict[str, Any]) -> None:
    said = sentences(quick)
    assert [s.result for s in said] == sorted((s.result for s in said), key=("NO", "UNKNOWN", "YES").index)
    (ssh,) = [s.text for s in said if s.text.startswith("22/tcp ")]
    assert ssh.startswith(
        "22/tcp from 10.1.10.20 to 10.3.20.8 is blocked by dc-fw, policy DROP of FORWARD (dc-fw/iptables.rules:"
    )
    assert " and by dc-core, forward rule 10: reject with icmpx admin-prohibited (dc-core/nft.rules:" in ssh
    assert no_services(quick).startswith("22/tcp")


def test_unknown_is_neither_yes_nor_no(quick: dict[str, Any]) -> None:
    service = {
        "port": 22,
        "protocol": "tcp",
        "result": "UNKNOWN",
        "path": [],
        "blocked_by": [],
        "reason": "no route is known",
    }
    (said,) = sentences(quick | {"routers": [], "services": [service]})
    assert (said.result, said.text) == (
        "UNKNOWN",
        "22/tcp from 10.1.10.20 to 10.3.20.8 cannot be told: no route is known.",
    )


def test_the_command_asks_the_same_question() -> None:
    asked = run(mode=Mode.DETAILED, source_port=4000)
    words = shlex.split(dict(commands(asked, "http://x"))["Ask again"])
    assert words[:2] == ["reachq", "submit"]
    parsed = RunRequest.parse(*words[2:5], mode="detailed", source_port=4000)
    assert (parsed.source, parsed.destination, parsed.services) == (asked.source, asked.destination, asked.services)
    assert words[5:] == ["--mode", "detailed", "--source-port", "4000", "--wait"]
