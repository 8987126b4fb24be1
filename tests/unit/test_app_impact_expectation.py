"""An expectation of a change: its file is read strictly, and everything that it does not announce is a failure."""

from __future__ import annotations

import pytest

from app.answers.impact.compare import compare
from app.answers.impact.document import Impact
from app.answers.impact.expectation import NOTHING, Expectation, read_expectation
from app.answers.impact.judgement import exit_code, judge
from ledger.errors import BadInput
from netlab.results.bulk import BulkService
from netlab.results.document import Verdict
from tests.support.bulk_results import NO_CHANGES, bulk, cell, question

Row = tuple[str, Verdict, Verdict]
FILE = """\
version: 1
gained:
  - from: 10.1.10.0/24      # the users
    to: 10.3.20.8
    services: 5432/tcp
lost: []
rerouted: any
"""


def impact_of(*rows: Row, guarded: frozenset[int] = frozenset()) -> Impact:
    """The impact on one question for each row: (`source destination service`, result before, result after).

    A YES before goes through core, and one after the change through core2.
    """

    def one(result: Verdict, service: str, router: str) -> BulkService:
        return cell(result, service=service, path=f"gw {router}", reason=None if result == "YES" else "why")

    before, after = [], []
    for line, (flow, was, now) in enumerate(rows, 1):
        source, destination, service = flow.split()
        ends = {"source": source, "destination": destination}
        before.append(question(line, one(was, service, "core"), **ends))
        after.append(question(line, one(now, service, "core2"), **ends))
    return compare([bulk(*before)], [bulk(*after, facts="bb")], NO_CHANGES, guarded=guarded)


def expectation(text: str) -> Expectation:
    return read_expectation(f"version: 1\n{text}", "change.yaml")


DB: Row = ("10.1.10.20 10.3.20.8 5432/tcp", "NO", "YES")
"""A gained cell that the file announces."""


def test_the_file_of_the_documentation_is_read() -> None:
    found = read_expectation(FILE, "change.yaml")
    assert found.anything == {"rerouted"}
    (entry,) = found.entries
    assert entry.sentence == "gained: 10.1.10.0/24 → 10.3.20.8 5432/tcp (change.yaml:3)"
    assert entry.services == ("5432/tcp",)


def test_services_may_be_a_list_a_number_or_left_out() -> None:
    text = (
        "lost:\n- {from: 10.0.0.1, to: 0.0.0.0/0, services: [22, 80-81/tcp, icmp]}\n- {from: 10.0.0.1, to: 10.0.0.2}\n"
    )
    one, two = expectation(text).entries
    assert one.services == ("22/tcp", "80/tcp", "81/tcp", "icmp")
    assert (two.services, two.sentence) == (None, "lost: 10.0.0.1 → 10.0.0.2 any service (change.yaml:4)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "change.yaml: '' is empty"),
        ("gained: []", "change.yaml:1: {'gained': []} has no field `version`: add it"),
        ("version: 2\ngained: []", "change.yaml:1: version: '2' is not a known version: give 1"),
        ("version: 1", "change.yaml:1: {'version': '1'} states no expectation: give at least one of lost, gained"),
        ("version: 1\nundetermined: any", "change.yaml:2: undetermined: 'undetermined' is not a known field"),
        ("version: 1\nlost: all", "change.yaml:2: lost: 'all' is not possible: give a list of entries"),
        ("version: 1\nlost:", "change.yaml:2: lost: '' is empty: give a list of entries"),
        ("version: 1\nlost: {from: 10.0.0.1}", "change.yaml:2: lost: {'from': '10.0.0.1'} must be a list"),
        ("version: 1\nlost:\n- from: 10.0.0.1", "change.yaml:3: lost[0]: {'from': '10.0.0.1'} has no field `to`"),
        (
            "version: 1\nlost:\n- {from: 10.0.0.300, to: 10.0.0.1}",
            "change.yaml:3: lost[0].from: '10.0.0.300' is not an",
        ),
        ("version: 1\nlost:\n- {from: db, to: 10.0.0.1}", "change.yaml:3: lost[0].from: 'db' is not an IPv4 address"),
        ("version: 1\nlost:\n- {from: 10.0.0.0/33, to: 10.0.0.1}", "'10.0.0.0/33' is not an IPv4 address or subnet"),
        ("version: 1\nlost:\n- {from: 10.0.0.9/24, to: 10.0.0.1}", "has bits set after the prefix: write 10.0.0.0/24"),
        (
            "version: 1\nlost:\n- {from: 10.0.0.1, to: 10.0.0.2, services: 0}",
            "change.yaml:3: lost[0].services: '0' cannot be used: '0' (part 1) is not a valid port",
        ),
        ("version: 1\nlost:\n- {from: 10.0.0.1, to: 10.0.0.2, services: []}", "does not name a service"),
        ("version: 1\nlost:\n- {from: 10.0.0.1, to: 10.0.0.2, services: {a: b}}", "must be a list: give for example"),
        (
            "version: 1\nlost:\n- {from: 10.0.0.1, to: 10.0.0.2, port: 22}",
            "change.yaml:3: lost[0].port: 'port' is not a",
        ),
    ],
)
def test_an_error_names_the_file_the_field_the_value_and_a_remedy(text: str, message: str) -> None:
    with pytest.raises(BadInput) as bad:
        read_expectation(text, "change.yaml")
    assert message in str(bad.value)


@pytest.mark.parametrize(
    ("row", "unexpected"),
    [
        (DB, []),
        (("10.1.10.20 10.3.20.8 22/tcp", "NO", "YES"), ["gained"]),
        (("10.1.11.20 10.3.20.8 5432/tcp", "NO", "YES"), ["gained"]),
        (("10.1.10.20 10.3.20.9 5432/tcp", "NO", "YES"), ["gained"]),
        (("10.1.10.20 10.3.20.8 5432/tcp", "YES", "NO"), ["lost"]),
        (("10.1.10.20 10.3.20.8 443/tcp", "YES", "YES"), []),
        (("10.1.10.20 10.3.20.8 443/tcp", "NO", "NO"), []),
        (("10.1.10.20 10.3.20.8 443/tcp", "YES", "UNKNOWN"), []),
    ],
)
def test_what_is_not_announced_is_unexpected(row: Row, unexpected: list[str]) -> None:
    judgement = judge(impact_of(DB, row), read_expectation(FILE, "change.yaml"))
    assert [change.kind for change in judgement.unexpected] == unexpected
    assert judgement.missing == ()
    assert judgement.exit_code == (1 if unexpected else 3 if "UNKNOWN" in row else 0)


@pytest.mark.parametrize("after", ["NO", "UNKNOWN"])
def test_an_announced_change_that_did_not_occur_is_a_failure(after: Verdict) -> None:
    judgement = judge(impact_of((DB[0], "NO", after)), read_expectation(FILE, "change.yaml"))
    assert [entry.kind for entry in judgement.missing] == ["gained"]
    assert judgement.exit_code == 1
    assert judgement.text.startswith("Not as expected: 1 expected change did not occur")


def test_any_needs_no_change_and_one_cell_can_fulfil_two_entries() -> None:
    assert judge(impact_of(("10.0.0.1 10.0.0.2 icmp", "NO", "NO")), expectation("lost: any")).exit_code == 0
    two = expectation("gained:\n- {from: 0.0.0.0/0, to: 10.3.20.8}\n- {from: 10.1.10.20, to: 0.0.0.0/0}\n")
    assert judge(impact_of(DB), two).exit_code == 0


def test_without_an_expectation_every_change_is_unexpected() -> None:
    assert judge(impact_of(DB)).text == "Not as expected: 1 unexpected change."
    assert judge(impact_of((DB[0], "NO", "NO")), NOTHING).text == "As expected."


@pytest.mark.parametrize(("was", "now"), [("YES", "NO"), ("YES", "UNKNOWN")])
def test_a_lock_out_is_a_failure_whatever_is_expected(was: Verdict, now: Verdict) -> None:
    impact = impact_of((DB[0], was, now), guarded=frozenset({1}))
    judgement = judge(impact, expectation("lost: any"))
    assert (len(judgement.lock_outs), judgement.unexpected, judgement.exit_code) == (1, (), 1)
    assert judgement.text.startswith("Not as expected: 1 possible lock-out")


@pytest.mark.parametrize(("failures", "undetermined", "code"), [(0, 0, 0), (0, 2, 3), (1, 0, 1), (1, 2, 1)])
def test_exit_codes(failures: int, undetermined: int, code: int) -> None:
    assert exit_code(failures=failures, undetermined=undetermined) == code
