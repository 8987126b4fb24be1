"""The reports of an impact: text, Markdown and CSV name every listed cell, and no text from the facts changes them."""

from __future__ import annotations

import csv
import html
import io
import re
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.answers.impact import markdown
from app.answers.impact.compare import compare
from app.answers.impact.document import Impact
from app.answers.impact.expectation import read_expectation
from app.answers.impact.judgement import judge
from app.answers.impact.markdown import code, impact_markdown
from app.answers.impact.sections import sections
from app.answers.impact.selection import Selection, chosen, read_selection
from app.answers.impact.table import COLUMNS, impact_csv
from app.cli.impact_text import impact_text
from ledger.errors import BadInput
from netlab.facts.changes.document import Change, FactsChanges, Group, Part, RouterChanges, Side
from netlab.terminal import in_a_line, visible
from tests.support.bulk_results import NO_CHANGES, a_policy, a_rule, bulk, cell, impact_of, question

OLD = Side("-A FORWARD -j ACCEPT", "iptables.rules", 12)
NEW = Side("-A FORWARD -p tcp --dport 443 -j DROP", "iptables.rules", 12)
GROUPS = (Group(Part.RULES, "iptables filter FORWARD", 0, 0, 1, 0, (Change("changed", OLD, NEW),)),)
CHANGES = FactsChanges(
    "1 router changed: dc-fw (1 rule changed)",
    (RouterChanges("dc-fw", "changed", GROUPS, "1 rule changed"), RouterChanges("new", "added", (), "")),
    (),
)
EXPECTED = (
    "version: 1\nlost:\n- {from: 10.1.10.0/24, to: 10.3.20.8, services: 80/tcp}\n- {from: 10.9.0.1, to: 10.9.0.2}\n"
)


def campus() -> Impact:
    """One question of each class, the first one with three lost services; the last one is noted."""
    dropped = {"by": "dc-fw", "rule": 0}
    before = [
        question(1, cell(service="80/tcp"), cell(service="443/tcp"), cell(service="444/tcp")),
        question(2, cell(), destination="10.3.20.9"),
        question(3, cell("NO", **dropped)),  # type: ignore[arg-type]
        question(4, cell()),
        question(5, cell("NO", **dropped)),  # type: ignore[arg-type]
        question(6, cell(service="22/tcp"), source="10.9.9.9"),
        question(7, cell(), depends_on=(0,), caveats=(0,)),
    ]
    after = [
        question(1, *(cell("NO", service=f"{port}/tcp", by="dc-fw", rule=0) for port in (80, 443, 444))),
        question(2, cell("UNKNOWN", reason="dc-fw: depends on a match"), destination="10.3.20.9"),
        question(3, cell()),
        question(4, cell(path="gw core2 dc-fw")),
        question(5, cell("NO", by="edge", rule=1)),
        question(6, cell("NO", service="22/tcp", reason="core: no route"), source="10.9.9.9"),
        question(7, cell(), depends_on=(0,), caveats=(0,)),
    ]
    sides = (
        bulk(*answers, rules=(a_rule(), a_policy("edge")), notes=(note,), facts=facts)
        for answers, note, facts in ((before, "assumed", "aa"), (after, "limited", "bb"))
    )
    was, now = sides
    return compare([was], [now], CHANGES, guarded={6})


def spoken(impact: Impact, *, width: int = 200) -> str:
    return click.unstyle(visible(impact_text(impact, width=width)))


def test_the_text_lists_the_worst_first_and_then_the_facts() -> None:
    assert spoken(campus()).split("\n") == [
        "possible lock-out: 1 cell of management flows lost or undetermined; 4 cells lost, 1 undetermined, 1 gained, "
        "1 rerouted, 1 blocked by another rule, 1 the same (9 cells of 7 questions)",
        "",
        "possible lock-out (1 cell)",
        "  10.9.9.9 no longer reaches 10.3.20.8 on 22/tcp: core: no route. (line 6)",
        "",
        "lost (4 cells)",
        "  10.1.10.20 no longer reaches 10.3.20.8 on 80/tcp, 443-444/tcp: dc-fw drops it (dc-fw/iptables.rules:12). "
        "(line 1)",
        "  10.9.9.9 no longer reaches 10.3.20.8 on 22/tcp: core: no route. (line 6)",
        "",
        "undetermined (1 cell)",
        "  The result from 10.1.10.20 to 10.3.20.9 on 443/tcp was YES and is now unknown: dc-fw: "
        "depends on a match. (line 2)",
        "",
        "gained (1 cell)",
        "  10.1.10.20 now reaches 10.3.20.8 on 443/tcp; before the change, it was blocked by dc-fw "
        "(dc-fw/iptables.rules:12). (line 3)",
        "",
        "rerouted (1 cell)",
        "  10.1.10.20 still reaches 10.3.20.8 on 443/tcp, now through core2 instead of core. (line 4)",
        "",
        "blocked by another rule (1 cell)",
        "  10.1.10.20 still does not reach 10.3.20.8 on 443/tcp: edge drops it (edge/iptables.rules:4); before the "
        "change, it was blocked by dc-fw (dc-fw/iptables.rules:12). (line 5)",
        "",
        "the same, with another note (1 cell)",
        "  10.1.10.20 still reaches 10.3.20.8 on 443/tcp; the result depends on other caveats. (line 7)",
        "      only before: assumed",
        "      only after: limited",
        "",
        "changes of the facts, aa → bb",
        "1 router changed: dc-fw (1 rule changed)",
        "",
        "dc-fw  rules of iptables filter FORWARD",
        "  - -A FORWARD -j ACCEPT  (iptables.rules:12)",
        "  + -A FORWARD -p tcp --dport 443 -j DROP  (iptables.rules:12)",
        "",
        "new  added",
        "",
        "8 of 9 cells changed. A cell is one service of one question. Only the forward path was tested. A change that "
        "has no effect on these cells can have an effect on other packets.",
    ]


@pytest.mark.parametrize("width", [10, 40, 60, 100])
def test_the_sentences_fit_the_width(width: int) -> None:
    text = spoken(replace(campus(), changes=NO_CHANGES, summary=""), width=width)
    assert max(map(len, text.split("\n"))) <= max(width, 40)


def test_the_judgement_marks_what_was_not_expected() -> None:
    impact = campus()
    judgement = judge(impact, read_expectation(EXPECTED, "change.yaml"))
    text = click.unstyle(visible(impact_text(impact, judgement, width=300)))
    assert (
        "Not as expected: 1 possible lock-out, 6 unexpected changes, 1 expected change did not occur, 1 undet" in text
    )
    assert "expected, but did not occur\n  lost: 10.9.0.1 → 10.9.0.2 any service (change.yaml:4)\n" in text
    assert "\n  10.1.10.20 no longer reaches 10.3.20.8 on 80/tcp: dc-fw" in text
    assert "unexpected: 10.1.10.20 no longer reaches 10.3.20.8 on 443-444/tcp: dc-fw" in text
    marked = impact_markdown(impact, judgement)
    assert (
        "| 1 **unexpected** | <code>10.1.10.20</code> | <code>10.3.20.8</code> | <code>443-444/tcp</code> |" in marked
    )
    assert (
        "### expected, but did not occur\n\n- <code>lost: 10.9.0.1 → 10.9.0.2 any service (change.yaml:4)</code>"
        in marked
    )


def test_an_impact_without_changes_says_so_and_proves_nothing_else() -> None:
    text = spoken(impact_of(cell(), cell()))
    assert text.startswith("1 cell the same (1 cell of 1 question)\n\nchanges of the facts")
    assert "0 of 1 cell changed." in text
    assert "can have an effect on other packets" in impact_markdown(impact_of(cell(), cell()))


def test_the_markdown_has_a_table_for_each_class() -> None:
    text = impact_markdown(campus())
    assert re.findall("^### (.*)", text, re.M) == [
        "possible lock-out (1 cell)",
        "lost (4 cells)",
        "undetermined (1 cell)",
        "gained (1 cell)",
        "rerouted (1 cell)",
        "blocked by another rule (1 cell)",
        "the same, with another note (1 cell)",
        "changes of the facts",
    ]
    assert (
        "| 1 | <code>10.1.10.20</code> | <code>10.3.20.8</code> | <code>80/tcp, 443-444/tcp</code> "
        "| YES through <code>gw → core → dc-fw</code> | NO by <code>dc-fw</code>: <code>FORWARD rule 8: "
        "-p tcp --dport 443 -j DROP</code> in <code>dc-fw/iptables.rules:12</code> |"
    ) in text
    assert "| YES through <code>gw → core → dc-fw</code> | UNKNOWN: <code>dc-fw: depends on a match</code> |" in text
    assert "| the result depends on other caveats; only before: <code>assumed</code>; only after: <code>limited" in text
    assert (
        "```diff\n@@ dc-fw: rules of iptables filter FORWARD @@\n- -A FORWARD -j ACCEPT  (iptables.rules:12)\n+ "
        in text
    )
    assert "+ new: router added\n```" in text


def test_long_tables_and_long_changes_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "ROWS_MAX", 1)
    monkeypatch.setattr(markdown, "LINES_MAX", 2)
    text = impact_markdown(campus())
    assert text.count("\nand 1 more rows\n") == 1  # of the two lost rows
    assert "  and 2 more lines\n```" in text


HOSTILE = [
    "a|b",
    "a\\|b",
    "`x` ``y``",
    "a\nb\r\n\n# title",
    "<script>alert(1)</script>",
    "</code></td>",
    "[x](http://evil.example)",
    "http://evil.example www.evil.example",
    "@everyone #1 !2 &amp; *x* _y_ ~z~ $1",
    "\x1b[31m\u202e",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_from_the_facts_is_markdown(text: str) -> None:
    rule = a_rule(text=text)
    change = Change("added", None, Side(f"```\n````\n{text}", "iptables.rules", 1))
    changes = FactsChanges(
        text, (RouterChanges(text, "changed", (replace(GROUPS[0], name=text, changes=(change,)),), ""),), ()
    )
    impact = replace(impact_of(cell(), cell("NO", by="dc-fw", rule=0), ((), (rule,))), changes=changes)
    written = impact_markdown(impact)
    (row,) = re.findall(r"^\| 1 .*", written, re.M)
    assert len(row.split("|")) == 8
    outside = re.sub(r"<code>[^<>`|*_@\[\]\\\x1b\u202e\n]*</code>", "", row)
    assert not re.search(r"[<>`@\[\]\\#&]", outside)
    assert "://evil" not in row
    assert "www." not in row
    (fence,) = re.findall(r"^(`{3,})diff$", written, re.M)
    assert len(fence) == 5
    assert written.count(f"\n{fence}") == 2


@given(st.text())
def test_code_is_one_line_with_the_same_text(text: str) -> None:
    written = code(text)
    inside = written.removeprefix("<code>").removesuffix("</code>")
    assert not re.search(r"[<>`|*_@\[\]\\\n\r#!~$^]", re.sub(r"&#\d+;", "", inside))
    assert "\n" not in html.unescape(inside)
    assert bool(written) == bool(in_a_line(text).strip())


def test_the_csv_has_a_row_for_each_cell_and_no_formula() -> None:
    impact = campus()
    rows = list(csv.DictReader(io.StringIO(impact_csv(impact))))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["class"] for row in rows] == [cell.kind for cell in (*impact.cells, *impact.noted)]
    first = rows[0]
    assert (first["service"], first["result_before"], first["result_after"]) == ("80/tcp", "YES", "NO")
    assert (first["file_after"], first["file_line_after"], first["path_before"]) == (
        "dc-fw/iptables.rules",
        "12",
        "gw core dc-fw",
    )
    assert rows[-1]["depends_on_after"] == "limited"
    assert [row["lock_out"] for row in rows].count("yes") == 1


@pytest.mark.parametrize("reason", ["=1+1", "-2", "+3", "@x", "\tx", "a\nb", 'a"b,c'])
def test_a_cell_of_the_csv_is_never_a_formula(reason: str) -> None:
    (found,) = csv.DictReader(io.StringIO(impact_csv(impact_of(cell(), cell("UNKNOWN", reason=reason)))))
    shown = found["reason_after"]
    assert shown.removeprefix("'") == reason
    assert not shown.startswith(("=", "+", "-", "@", "\t"))


def test_a_terminal_gets_no_control_characters_from_the_facts() -> None:
    impact = impact_of(cell(), cell("UNKNOWN", reason="\x1b[2J\nlost"))
    text = visible(impact_text(impact))
    assert "\\x1b[2J\\nlost" in text
    assert "\x1b[2J" not in text


@pytest.mark.parametrize(
    ("selection", "lines"),
    [
        ({}, [1, 1, 1, 2, 3, 4, 5, 6]),
        ({"kinds": ["lost"]}, [1, 1, 1, 6]),
        ({"kinds": ["gained", "rerouted"]}, [3, 4]),
        ({"kinds": ["same"]}, []),
        ({"router": "core2"}, [4]),
        ({"router": "edge"}, [5]),
        ({"router": "nowhere"}, []),
        ({"address": "10.9.0.0/16"}, [6]),
        ({"address": "10.3.20.9"}, [2]),
        ({"services": "22, 444/tcp"}, [1, 6]),
        ({"kinds": ["lost"], "services": "22"}, [6]),
    ],
)
def test_a_selection_lists_the_cells_that_meet_all_conditions(selection: dict[str, Any], lines: list[int]) -> None:
    impact = campus()
    found = chosen(impact, read_selection(**selection))
    assert [cell.line for cell in found.cells] == lines
    assert (found.counts, found.summary) == (impact.counts, impact.summary)
    assert len(found.noted) == (not selection or selection.get("kinds") == ["same"])
    if selection:
        assert f"Only {len(lines)} of 8 changed cells are listed: " in spoken(found)
        assert f"<code>Only {len(lines)} of 8 changed cells are listed: " in impact_markdown(found)
        with pytest.raises(ValueError, match="before it is filtered"):
            judge(found)


def test_a_selection_is_described() -> None:
    selection = read_selection(["gained", "lost"], "dc-fw", "10.0.0.0/8", "22,icmp")
    assert selection.text == "lost or gained, router dc-fw, from or to 10.0.0.0/8, 22/tcp or icmp"
    assert Selection().text == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kinds": ["los"]}, "kind: 'los' is not a class: use lost, undetermined, gained"),
        ({"address": "10.0.0.1/8"}, "address: '10.0.0.1/8' has bits set after the prefix: write 10.0.0.0/8"),
        ({"address": "db"}, "address: 'db' is not an IPv4 address or subnet"),
        ({"services": "x y"}, "services: 'x y' (part 1) contains white space"),
    ],
)
def test_a_condition_that_cannot_be_used_is_an_error(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as bad:
        read_selection(**given)
    assert message in str(bad.value)


def test_sources_with_the_same_answers_are_one_item() -> None:
    lines = (1, 2, 3, 5)
    dropped = cell("NO", by="dc-fw", rule=0)
    was = bulk(*[question(line, cell(), source=f"10.1.10.{line}") for line in lines], facts="aa")
    now = bulk(*[question(line, dropped, source=f"10.1.10.{line}") for line in lines], rules=(a_rule(),), facts="bb")
    (section,) = sections(compare([was], [now], NO_CHANGES))
    (item,) = section.items
    assert (item.where, item.services) == ("lines 1-3, 5", "443/tcp")
    assert item.sentence.startswith("Each of 10.1.10.1-10.1.10.3, 10.1.10.5 (4 sources) no longer reaches 10.3.20.8 on")
