"""The answers of a bulk run in short, and the division of questions into runs."""

from __future__ import annotations

import csv
import io

import click
import pytest

from app.answers.bulk import ask_alone, bulk_csv, selected, stopped_by
from app.cli import bulk_text, tables
from app.formatting import questions_of
from app.questions.planned import planned
from ledger.errors import BadInput
from ledger.runs.bulk import QUESTIONS_MAX, BulkRequest, in_parts, numbered
from ledger.runs.run import Mode, Run, State
from tests.support.bulk_results import a_rule, bulk, cell, question
from tests.support.runs import a_request

NO_443 = cell("NO", by="dc-fw core", rule=0)
RESULT = bulk(
    question(1, cell()),
    question(4, NO_443, cell("NO", service="22/tcp", by="edge"), destination="10.3.20.9"),
    question(5, cell("UNKNOWN", service="icmp", reason="no route", path=""), source_port=4000, depends_on=(0,)),
    rules=(a_rule(),),
    notes=("the route may change",),
)


def test_what_stopped_a_question() -> None:
    assert [stopped_by(RESULT, answer) for answer in RESULT.answers] == [
        "",
        "dc-fw iptables.rules:12, edge",
        "no route",
    ]


@pytest.mark.parametrize(
    ("verdict", "text", "lines"),
    [
        ("", "", [1, 4, 5]),
        ("NO", "", [4]),
        ("", "10.3.20.9", [4]),
        ("", "DC-FW 22/tcp", [4]),
        ("YES", "dc-fw", []),
        ("", "icmp", [5]),
    ],
)
def test_the_filter(verdict: str, text: str, lines: list[int]) -> None:
    assert [answer.line for answer in selected(RESULT, verdict=verdict, text=text)] == lines


def test_the_form_for_one_question() -> None:
    assert ask_alone(RESULT.answers[1]) == ("/?source=10.1.10.20&destination=10.3.20.9&services=443%2Ftcp%2C+22%2Ftcp")
    assert ask_alone(RESULT.answers[2]).endswith("&services=icmp&source_port=4000")


def test_csv_has_a_row_for_each_service() -> None:
    rows = list(csv.DictReader(io.StringIO(bulk_csv(RESULT))))
    assert [(row["line"], row["service"], row["answer"]) for row in rows] == [
        ("1", "443/tcp", "YES"),
        ("4", "443/tcp", "NO"),
        ("4", "22/tcp", "NO"),
        ("5", "icmp", "UNKNOWN"),
    ]
    assert (rows[1]["blocked_by"], rows[1]["file"], rows[1]["file_line"]) == (
        "dc-fw core",
        "dc-fw/iptables.rules",
        "12",
    )
    assert (rows[3]["reason"], rows[3]["depends_on"]) == ("no route", "the route may change")


def test_the_terminal_shows_one_line_for_each_question() -> None:
    head, _, *lines = click.unstyle(bulk_text.bulk_result(RESULT)).splitlines()
    assert head.startswith("3 questions: 1 YES, 1 UNKNOWN, 1 NO")
    assert [line.split()[:2] for line in lines] == [["1", "YES"], ["4", "NO"], ["5", "UNKNOWN"]]
    assert lines[1].endswith("443/tcp, 22/tcp  dc-fw iptables.rules:12, edge")


def test_a_list_says_how_many_questions_a_run_has() -> None:
    request = a_request()
    run = Run(
        id="a" * 36,
        mode=Mode.BULK,
        source=request.source,
        destination=request.destination,
        services=request.services,
        questions=1200,
        snapshot="b17e42431a16",
        state=State.PENDING,
    )
    assert tables.question(run) == "1,200 questions: 10.1.10.20 → 10.3.20.8 …, snapshot b17e42431a16"
    assert questions_of(1, "a", "b") == "1 question: a → b"


def test_quick_rows_share_runs_and_detailed_ones_do_not() -> None:
    quick = {line: a_request() for line in range(1, QUESTIONS_MAX + 2)}
    plan = planned(quick | {400: a_request(Mode.DETAILED)}, "abcd")
    assert [one.name for one in plan] == ["part 1", "part 2", "400"]
    assert [line for one in plan for line in one.lines] == [*quick, 400]
    assert [one.request.snapshot for one in plan if isinstance(one.request, BulkRequest)] == ["abcd", "abcd"]


def test_parts_of_different_wholes_differ() -> None:
    questions = numbered([a_request()] * 3 * QUESTIONS_MAX)
    two, three = list(in_parts(questions[: 2 * QUESTIONS_MAX])), list(in_parts(questions))
    assert two[0].questions == three[0].questions
    assert two[0].digest != three[0].digest
    assert two[0].digest == next(in_parts(questions[: 2 * QUESTIONS_MAX])).digest


def test_a_bulk_run_has_no_detailed_question() -> None:
    with pytest.raises(BadInput, match="only quick tests"):
        list(in_parts(numbered([a_request(Mode.DETAILED)])))
