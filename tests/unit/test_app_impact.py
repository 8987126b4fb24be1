"""The impact of a change: each cell has the right class, nothing is left out, and moved lines change nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.answers.impact.compare import AnswersDoNotMatch, compare
from app.answers.impact.document import CHANGED, Impact
from netlab.results.bulk import BulkAnswers, BulkResult, BulkService
from netlab.results.document import QuickResult, Rule
from tests.support.bulk_results import NO_CHANGES, a_policy, a_rule, bulk, cell, impact_of, question
from tests.support.results import read, sample

YES = cell()
DROPPED = cell("NO", by="dc-fw", rule=0)
UNKNOWN = cell("UNKNOWN", reason="dc-fw: depends on a match")
NO_ROUTE = cell("NO", by="core", path="gw core", reason="core: no route to 10.3.20.8")
LOOP = cell("NO", path="gw core gw", reason="loop: gw → core → gw")
FLOW = "10.1.10.20 {} 10.3.20.8 on 443/tcp"

CLASSES: list[tuple[BulkService, BulkService, str, str]] = [
    (YES, DROPPED, "lost", "no longer reaches: dc-fw drops it (dc-fw/iptables.rules:12)."),
    (YES, NO_ROUTE, "lost", "no longer reaches: core: no route to 10.3.20.8."),
    (YES, LOOP, "lost", "no longer reaches: loop: gw → core → gw."),
    (YES, cell("NO", by="dc-fw"), "lost", "no longer reaches: dc-fw blocks it."),
    (DROPPED, YES, "gained", "now reaches; before the change, it was blocked by dc-fw (dc-fw/iptables.rules:12)."),
    (LOOP, YES, "gained", "now reaches; before the change, it had failed: loop: gw → core → gw."),
    (YES, UNKNOWN, "undetermined", "was YES and is now unknown: dc-fw: depends on a match."),
    (DROPPED, UNKNOWN, "undetermined", "was NO and is now unknown: dc-fw: depends on a match."),
    (UNKNOWN, YES, "undetermined", "reaches; before the change, the result was unknown: dc-fw: depends on a match."),
    (UNKNOWN, DROPPED, "undetermined", "does not reach: dc-fw drops it (dc-fw/iptables.rules:12); before the change,"),
    (UNKNOWN, cell("UNKNOWN", reason="edge: is full"), "undetermined", "is still unknown: edge: is full; before the"),
    (UNKNOWN, msgspec.structs.replace(UNKNOWN, path=("gw",)), "undetermined", "is still unknown: dc-fw: depends on"),
    (YES, cell(path="gw core2 dc-fw"), "rerouted", "still reaches, now through core2 instead of core."),
    (YES, cell(path="gw dc-fw"), "rerouted", "still reaches, no longer through core."),
    (YES, cell(path="gw core edge x dc-fw"), "rerouted", "still reaches, now through edge and x."),
    (YES, cell(path="core gw dc-fw"), "rerouted", "now by the path core → gw → dc-fw instead of gw → core → dc-fw."),
    (DROPPED, NO_ROUTE, "other-rule", "still does not reach: core: no route to 10.3.20.8; before the change, it was"),
    (NO_ROUTE, DROPPED, "other-rule", "still does not reach: dc-fw drops it (dc-fw/iptables.rules:12); before the"),
    (DROPPED, cell("NO", by="edge dc-fw", rule=0), "other-rule", "still does not reach: edge drops it"),
    (DROPPED, cell("NO", by="dc-fw", rule=1), "other-rule", "(dc-fw/iptables.rules:20)"),
    (DROPPED, cell("NO", by="dc-fw"), "other-rule", "dc-fw blocks it; before the change, it was blocked by dc-fw (dc-"),
    (YES, YES, "same", ""),
    (DROPPED, DROPPED, "same", ""),
    (NO_ROUTE, NO_ROUTE, "same", ""),
    (UNKNOWN, UNKNOWN, "same", ""),
]


@pytest.mark.parametrize(("before", "after", "kind", "words"), CLASSES)
def test_a_cell_has_one_class_and_a_sentence(before: BulkService, after: BulkService, kind: str, words: str) -> None:
    rules = (a_rule(), a_rule(line=20, text="-j DROP"))
    impact = impact_of(before, after, (rules, rules))
    assert getattr(impact.counts, kind.replace("-", "_")) == impact.counts.cells == 1
    assert [one.kind for one in impact.cells] == [kind] * (kind != "same")
    for changed in impact.cells:
        spoken = changed.sentence.replace(" 10.3.20.8 on 443/tcp", "", 1).replace("10.1.10.20 ", "", 1)
        assert words in spoken
        assert changed.sentence.count("443/tcp") == 1


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (a_rule(), a_rule(line=40), "same"),
        (a_rule(), a_rule(text="-j DROP"), "other-rule"),
        (a_rule(), a_rule(chains=("FORWARD", "users")), "other-rule"),
        (a_rule(), a_rule(verdict="REJECT"), "other-rule"),
        (a_rule(), a_policy(), "other-rule"),
        (a_policy(), a_policy(line=9, text=":FORWARD DROP [777:9999]"), "same"),
        (a_policy(), replace(a_policy(), text=None, file=None, line=None), "same"),
        (a_policy(), a_policy(table="mangle"), "other-rule"),
        (replace(a_rule(), text=None), replace(a_rule(), text=None), "same"),
    ],
)
def test_rules_are_compared_by_what_they_say_and_not_by_their_line(before: Rule, after: Rule, kind: str) -> None:
    impact = impact_of(DROPPED, DROPPED, ((before,), (after,)))
    assert getattr(impact.counts, kind.replace("-", "_")) == 1


def test_counters_in_a_rule_of_nft_are_not_another_rule() -> None:
    texts = (f"tcp dport 443 counter packets {n} bytes {n}00 drop" for n in (1, 7))
    before, after = (replace(a_rule(), family="inet", file="dc-fw/nftables.rules", text=text) for text in texts)
    assert impact_of(DROPPED, DROPPED, ((before,), (after,))).counts.same == 1


def test_a_line_number_in_a_reason_is_not_another_reason() -> None:
    before, after = (cell("UNKNOWN", reason=f"fw: depends on `-j X` (fw/iptables.rules:{line})") for line in (4, 5))
    impact = impact_of(before, after)
    assert (impact.counts.same, impact.counts.unknown) == (1, 1)


def test_other_caveats_of_the_same_answer_are_noted() -> None:
    before = bulk(question(1, YES, depends_on=(0,), caveats=(0, 1)), notes=("fw: a (fw/iptables.rules:4)", "limited"))
    after = bulk(question(1, YES, depends_on=(0,), caveats=(0,)), notes=("another",), facts="bb")
    impact = compare([before], [after], NO_CHANGES)
    assert (impact.cells, impact.counts.same, impact.counts.noted) == ((), 1, 1)
    (noted,) = impact.noted
    assert noted.before.depends_on == ("fw: a (fw/iptables.rules:4)",)
    assert noted.after.depends_on == ("another",)
    assert noted.sentence == f"{FLOW.format('still reaches')}; the result depends on other caveats."


def test_another_line_of_a_caveat_and_another_order_are_not_noted() -> None:
    notes = ("fw: a (fw/iptables.rules:4)", "limited"), ("limited", "fw: a (fw/iptables.rules:5)")
    before, after = (bulk(question(1, YES, depends_on=(0, 1), caveats=(0, 1)), notes=own) for own in notes)
    assert compare([before], [after], NO_CHANGES).noted == ()


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (replace(DROPPED, path=("gw", "core2", "dc-fw")), "the path to the same blocking rule is another one"),
        (replace(DROPPED, blocked_by=("dc-fw", "edge")), "other routers further along the path would also block it"),
    ],
)
def test_what_else_differs_in_a_blocked_cell_is_noted(after: BulkService, words: str) -> None:
    (noted,) = impact_of(DROPPED, after).noted
    assert noted.kind == "same"
    assert noted.sentence == f"{FLOW.format('still does not reach')}; {words}."


@pytest.mark.parametrize("name", ["quick", "quick-many"])
def test_a_real_run_compared_with_itself_is_the_same(name: str) -> None:
    result = read(sample(name))
    assert isinstance(result, QuickResult)
    answers = BulkAnswers()
    answers.add(1, result)
    side = [answers.result("r", {})]
    counts = compare(side, side, NO_CHANGES).counts
    assert (counts.same, counts.cells, counts.noted) == (len(result.services), len(result.services), 0)


def test_the_sides_may_be_split_in_different_runs_and_orders() -> None:
    one, two = question(1, YES), question(2, DROPPED)
    before = [bulk(two, rules=(a_rule(),)), bulk(one)]
    after = [bulk(one, replace(two, services=(YES,)), facts="bb")]
    impact = compare(before, after, NO_CHANGES)
    assert [(change.line, change.kind) for change in impact.cells] == [(2, "gained")]
    assert (impact.before, impact.after) == ("aa", "bb")
    assert impact.summary == "1 cell gained, 1 the same (2 cells of 2 questions)"


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ([bulk(question(1, YES))], [], "no answers after the change"),
        ([bulk()], [bulk()], "no answers before"),
        (
            [bulk(question(1, YES), question(2, YES))],
            [bulk(question(1, YES))],
            "question on line 2 has no answer after",
        ),
        ([bulk(question(1, YES))], [bulk(*(question(n, YES) for n in (1, 3, 4)))], "2 questions, the first on line 3"),
        ([bulk(question(1, YES))] * 2, [bulk(question(1, YES))], "line 1 has two answers before"),
        ([bulk(question(1, YES)), bulk(facts="bb")], [bulk(question(1, YES))], "different facts \\(aa, bb\\)"),
        ([bulk(question(1, YES))], [bulk(question(1, cell(service="icmp")))], "Line 1 is not the same question"),
        ([bulk(question(1, YES))], [bulk(question(1, YES, source="10.1.10.21"))], "Line 1 is not the same question"),
        ([bulk(question(1, YES))], [bulk(question(1, YES, source_port=53))], "Line 1 is not the same question"),
        ([bulk(question(1, YES, YES))], [bulk(question(1, YES))], "two answers for one service"),
    ],
)
def test_what_cannot_be_compared_is_an_error(before: list[BulkResult], after: list[BulkResult], why: str) -> None:
    with pytest.raises(AnswersDoNotMatch, match=why):
        compare(before, after, NO_CHANGES)


def test_a_guarded_line_that_was_not_asked_is_an_error() -> None:
    with pytest.raises(AnswersDoNotMatch, match="line 9 has no answer, but must be asked: they are management flows"):
        impact_of(YES, YES, guarded={1, 9})


@pytest.mark.parametrize(
    ("before", "after", "locked"),
    [
        (YES, DROPPED, True),
        (YES, UNKNOWN, True),
        (DROPPED, UNKNOWN, True),
        (UNKNOWN, DROPPED, True),
        (YES, YES, False),
        (DROPPED, YES, False),
        (UNKNOWN, YES, False),
        (DROPPED, NO_ROUTE, False),
        (YES, cell(path="gw"), False),
    ],
)
def test_a_management_flow_that_changed_and_is_not_yes_is_a_lock_out(
    before: BulkService, after: BulkService, locked: bool
) -> None:
    assert impact_of(before, after).lock_outs == ()
    guarded = impact_of(before, after, guarded={1})
    assert (len(guarded.lock_outs), guarded.counts.lock_outs) == (locked, locked)
    assert guarded.summary.startswith("possible lock-out: 1 cell of") == locked


def test_the_summary_counts_every_class() -> None:
    after = [DROPPED, UNKNOWN, cell(path="gw"), YES, cell("UNKNOWN", reason="x"), UNKNOWN]
    before = [YES, YES, YES, DROPPED, DROPPED, UNKNOWN]
    sides = (
        bulk(*(question(line, one) for line, one in enumerate(side, 1)), rules=(a_rule(),)) for side in (before, after)
    )
    was, now = sides
    assert compare([was], [now], NO_CHANGES).summary == (
        "1 cell lost, 2 undetermined, 1 gained, 1 rerouted, 1 the same (1 of them UNKNOWN before and after)"
        " (6 cells of 6 questions)"
    )


def test_a_source_port_and_icmp_are_named() -> None:
    before, after = (bulk(question(1, cell(result, service="icmp"), source_port=53)) for result in ("YES", "NO"))
    (change,) = compare([before], [after], NO_CHANGES).cells
    assert change.sentence == "10.1.10.20 (port 53) no longer reaches 10.3.20.8 on icmp."


def test_the_document_survives_its_encoding() -> None:
    impact = impact_of(YES, DROPPED, guarded={1})
    assert msgspec.json.decode(msgspec.json.encode(impact), type=Impact) == impact
    names = {name.rpartition(".")[2] for name in msgspec.json.schema(Impact)["$defs"]}
    assert {"Impact", "CellChange", "CellAnswer", "ImpactCounts", "FactsChanges"} <= names


RULES = (a_rule(), a_policy(), a_rule(text="-j REJECT", verdict="REJECT"))
CELLS = st.builds(
    cell,
    st.sampled_from(["YES", "NO", "UNKNOWN"]),
    path=st.sampled_from(["gw dc-fw", "gw core dc-fw", "gw"]),
    by=st.sampled_from(["", "dc-fw", "edge dc-fw"]),
    reason=st.sampled_from([None, "no route", "fw: depends on `x` (fw/nft.rules:7)"]),
    rule=st.sampled_from([None, 0, 1, 2]),
)
SIDES = st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12)


def side(cells: Any, rules: tuple[Rule, ...] = RULES, facts: str = "aa") -> list[BulkResult]:
    return [bulk(*(question(line, one) for line, one in enumerate(cells, 1)), rules=rules, facts=facts)]


@given(SIDES)
def test_every_cell_is_counted_once_and_a_way_back_swaps_lost_and_gained(pairs: list[tuple[Any, Any]]) -> None:
    before, after = (side(cells) for cells in zip(*pairs, strict=True))
    there, back = compare(before, after, NO_CHANGES), compare(after, before, NO_CHANGES)
    assert there.counts.cells == there.counts.questions == len(pairs)
    assert len(there.cells) == there.counts.changed
    assert {change.kind for change in there.cells} <= set(CHANGED)
    assert {change.kind for change in there.noted} <= {"same"}
    swapped = replace(back.counts, lost=back.counts.gained, gained=back.counts.lost)
    assert swapped == there.counts


@given(SIDES)
def test_the_same_answers_are_all_the_same(pairs: list[tuple[Any, Any]]) -> None:
    answers = side([one for one, _ in pairs])
    impact = compare(answers, answers, NO_CHANGES)
    assert (impact.counts.same, impact.cells, impact.noted) == (len(pairs), (), ())


@given(SIDES, st.integers(1, 50))
def test_lines_inserted_above_change_nothing(pairs: list[tuple[Any, Any]], inserted: int) -> None:
    moved = tuple(
        replace(rule, line=(rule.line or 0) + inserted, number=rule.number and rule.number + inserted) for rule in RULES
    )
    before, after = (side(cells) for cells in zip(*pairs, strict=True))
    later = side([after for _, after in pairs], moved, "bb")
    later = [msgspec.convert(_with_other_lines(msgspec.to_builtins(one), inserted), BulkResult) for one in later]
    assert compare(before, later, NO_CHANGES).counts == compare(before, after, NO_CHANGES).counts


def _with_other_lines(document: Any, inserted: int) -> Any:
    for answer in document["answers"]:
        for service in answer["services"]:
            if reason := service.get("reason"):
                service["reason"] = reason.replace(":7)", f":{7 + inserted})")
    return document
