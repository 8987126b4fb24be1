"""The result document of a bulk run."""

from __future__ import annotations

import msgspec
import pytest

from netlab.results.bulk import BulkAnswers, decode_bulk, encode_bulk
from netlab.results.codec import BadDocument
from netlab.results.document import Cell, QuickResult, RouterResult, Rule, ServiceResult, Verdict

DROP = Rule(
    family="ip",
    table="filter",
    chain="FORWARD",
    chains=("FORWARD",),
    number=1,
    text="-p tcp --dport 22 -j DROP",
    file="fw/iptables.rules",
    line=4,
    hook="forward",
    verdict="DROP",
    policy=False,
)


def one(result: Verdict, facts: str = "abc", *, caveats: tuple[str, ...] = ()) -> QuickResult:
    """A result of one service through `gw` and `fw`; a NO is blocked by `fw`."""
    no = result == "NO"
    return QuickResult(
        run_id="r",
        source="10.0.1.10",
        destination="10.0.2.10",
        source_port=None,
        verdict=result,
        path=("gw", "fw"),
        routers=(
            RouterResult("gw", 1, "lan", "up", (Cell(22, "tcp", "YES"),)),
            RouterResult("fw", 2, "up", None, (Cell(22, "tcp", result, DROP if no else None),)),
        ),
        services=(
            ServiceResult(port=22, protocol="tcp", result=result, path=("gw", "fw"), blocked_by=("fw",) if no else ()),
        ),
        caveats=caveats,
        depends_on=caveats[:1],
        facts=facts,
    )


def test_a_rule_and_a_caveat_are_stored_once() -> None:
    answers = BulkAnswers()
    for line in (1, 2, 4):
        answers.add(line, one("NO", caveats=("assumed", "limited")))
    bulk = answers.result("r", {})
    assert bulk.rules == (DROP,)
    assert bulk.notes == ("assumed", "limited")
    assert [answer.line for answer in bulk.answers] == [1, 2, 4]
    assert all(bulk.rule_of(answer.services[0]) == DROP for answer in bulk.answers)
    assert bulk.texts(bulk.answers[2].depends_on) == ("assumed",)
    assert bulk.texts(bulk.answers[2].caveats) == ("assumed", "limited")


def test_the_verdict_is_the_worst_answer_and_every_answer_is_counted() -> None:
    answers = BulkAnswers()
    for line, verdict in enumerate(("YES", "UNKNOWN", "YES", "NO"), 1):
        answers.add(line, one(verdict))  # type: ignore[arg-type]
    bulk = answers.result("r", {})
    assert bulk.verdict == "NO"
    assert bulk.counts == {"YES": 2, "UNKNOWN": 1, "NO": 1}


def test_answers_of_two_snapshots_are_refused() -> None:
    answers = BulkAnswers()
    answers.add(1, one("YES", "abc"))
    with pytest.raises(ValueError, match="facts def, and the others from abc"):
        answers.add(2, one("YES", "def"))


def test_a_document_survives_its_encoding() -> None:
    answers = BulkAnswers()
    answers.add(1, one("NO", caveats=("assumed",)))
    bulk = answers.result("r", {"total": 1.5})
    assert decode_bulk(encode_bulk(bulk)) == bulk


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rules": []}, "answers\\[0\\] names a rule"),
        ({"notes": []}, "answers\\[0\\] names a caveat"),
        ({"answers": [{"line": 1}]}, "source"),
        ({"mode": "quick"}, "mode"),
    ],
)
def test_a_damaged_document_is_refused(change: dict[str, object], why: str) -> None:
    answers = BulkAnswers()
    answers.add(1, one("NO", caveats=("assumed",)))
    plain = msgspec.json.decode(encode_bulk(answers.result("r", {})))
    with pytest.raises(BadDocument, match=why):
        decode_bulk(msgspec.json.encode(plain | change))
