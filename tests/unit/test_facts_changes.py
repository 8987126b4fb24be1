"""What changed between two snapshots: it agrees with the facts hash, and names the router, the part and the line."""

from __future__ import annotations

import copy
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.cli.facts_changes import facts_changes
from netlab.facts import dumps
from netlab.facts.changes.compare import ABSENT, LISTED, changes
from netlab.facts.changes.document import FactsChanges, Group, Part, Side
from netlab.facts.changes.sequences import Difference, Item, by_key, in_order
from netlab.facts.json_lines import parse_entries
from netlab.facts.meaning import iproute
from netlab.facts.meaning.files import meaning
from netlab.facts.reader import load
from netlab.rules.saved_firewall import read_iptables, read_nft
from tests.support.patience import patience
from tests.unit.test_facts_hash import (
    DIFFERENT,
    IPSET,
    IPTABLES,
    NFT,
    SAME,
    WG,
    Change,
    Files,
    T,
    captured,
    edited,
    replaced,
)

CAMPUS = Path(__file__).parents[2] / "networks" / "campus"


def compared(before: Files, after: Files) -> FactsChanges:
    return changes(*({path: text.encode() for path, text in files.items()} for files in (before, after)))


def after_change(*edits: Change) -> FactsChanges:
    before, after = captured(), captured()
    for edit in edits:
        edit(after)
    return compared(before, after)


def only_group(found: FactsChanges) -> Group:
    (router,) = found.routers
    (group,) = router.groups
    assert router.router == "gw"
    return group


def sides(group: Group) -> list[tuple[str, str, str]]:
    def shown(side: Side | None) -> str:
        return f"{side.text} {side.line}" if side else ""

    return [(one.kind, shown(one.before), shown(one.after)) for one in group.changes]


@pytest.mark.parametrize(("name", "change"), SAME.items(), ids=SAME.keys())
def test_equal_hashes_mean_no_changes(name: str, change: Change) -> None:
    before, after = captured(), captured()
    if name == "chains listed in another order":
        before[T] = before[T].replace("-A shop", "-A shop -p tcp -j DROP\n-A shop")
    change(after)
    found = compared(before, after)
    assert not found
    assert found.summary == "no changes"
    assert facts_changes(found) == "no changes"


PARTS = {
    "another address": (Part.ADDRESSES, "lan", "changed"),
    "another primary address": (Part.ADDRESSES, "lan", "moved"),
    "an interface is down": (Part.INTERFACES, "", "changed"),
    "another MTU": (Part.INTERFACES, "", "changed"),
    "another metric": (Part.ROUTES, "", "changed"),
    "a route is gone": (Part.ROUTES, "", "removed"),
    "a next hop is gone": (Part.ROUTES, "", "changed"),
    "policy rules of one priority in another order": (Part.POLICY_RULES, "", "moved"),
    "a policy rule": (Part.POLICY_RULES, "", "changed"),
    "no forwarding": (Part.SETTINGS, "", "changed"),
    "another policy": (Part.CHAINS, "iptables filter", "changed"),
    "another rule": (Part.RULES, "iptables filter office", "changed"),
    "rules of a chain in another order": (Part.RULES, "iptables filter FORWARD", "moved"),
    "a rule is gone": (Part.RULES, "iptables nat POSTROUTING", "removed"),
    "the legacy variant": (Part.OTHER, "iptables", "changed"),
    "a new ipset entry": (Part.ENTRIES, "ipset bans", "added"),
    "an ipset entry that never expires": (Part.ENTRIES, "ipset bans", "changed"),
    "members of a list in another order": (Part.ENTRIES, "ipset both", "moved"),
    "another default timeout": (Part.SETS, "ipset", "changed"),
    "another timeout of an element": (Part.ENTRIES, "nft inet fw set bans", "changed"),
    "another verdict in a map": (Part.ENTRIES, "nft inet fw map ports", "changed"),
    "another quota": (Part.RULES, "nft inet fw in", "changed"),
    "a rule is gone from nft": (Part.RULES, "nft inet fw in", "removed"),
    "a peer may send from another network": (Part.PEERS, "", "changed"),
    "a file is missing": (Part.FILES, "", "removed"),
}


@pytest.mark.parametrize(("name", "change"), DIFFERENT.items(), ids=DIFFERENT.keys())
def test_different_hashes_mean_changes(name: str, change: Change) -> None:
    found = after_change(change)
    assert found
    assert found.summary != "no changes"
    if name in PARTS:
        group = only_group(found)
        (one,) = group.changes
        assert (group.part, group.name, one.kind) == PARTS[name]
        assert group.total == 1


def test_a_changed_rule_has_both_texts_with_their_lines() -> None:
    longer = "-A FORWARD -m set --match-set bans src -j LOG\n-A FORWARD -m set"
    found = after_change(replaced(T, "--dport 443", "--dport 444"), replaced(T, "-A FORWARD -m set", longer))
    forward, office = found.routers[0].groups
    assert sides(forward) == [("added", "", "-A FORWARD -m set --match-set bans src -j LOG 8")]
    old, new = (f"-A office -p tcp -m tcp --dport {port} -j ACCEPT" for port in (443, 444))
    assert sides(office) == [("changed", f"{old} 9", f"{new} 10")]
    assert office.changes[0].after
    assert office.changes[0].after.file == "iptables.rules"
    assert found.summary == "1 router changed: gw (1 rule added, 1 changed)"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("a policy rule", "100: from 10.0.1.7 lookup 9", "100: from 10.0.1.6 lookup 9"),
        ("another address", "lan 10.0.1.1/24", "lan 10.0.1.3/24"),
        ("an interface is down", "lan flags BROADCAST,UP", "lan flags BROADCAST"),
        ("another MTU", "lan mtu 1500", "lan mtu 1400"),
        ("no forwarding", "lan forwarding on", "lan forwarding off"),
        ("a route is down", "default via 203.0.113.1 dev wan", "default via 203.0.113.1 dev wan flags linkdown"),
        (
            "a next hop is gone",
            "10.8.0.0/16 nexthop via 10.0.1.8 dev lan nexthop via 10.0.1.9 dev lan",
            "10.8.0.0/16 nexthop via 10.0.1.9 dev lan",
        ),
        ("another gateway of hosts", "10.0.1.7/32: gw", "10.0.1.7/32: gw:wan"),
        ("the legacy variant", "printed by the nf_tables variant", "printed by the legacy variant"),
        ("another timeout of an element", "192.0.2.8 timeout 1h expires 7s", "192.0.2.8 timeout 2h expires 7s"),
    ],
)
def test_statements_read_as_in_the_tools(name: str, before: str, after: str) -> None:
    found = after_change(DIFFERENT[name])
    (group,) = [*found.network, *(group for router in found.routers for group in router.groups)]
    assert [text.rpartition(" ")[0] for text in sides(group)[0][1:]] == [before, after]


def test_a_route_with_another_metric_is_a_changed_route() -> None:
    """The metric decides the place of the route among those to its destination."""
    found = only_group(after_change(edited("gw/routes.json", lambda entries: entries[1].update(metric=1))))
    old, new = (f"10.9.0.0/16 via 10.0.1.9 dev lan metric {metric} 1" for metric in (20, 1))
    assert sides(found) == [("changed", old, new)]


def test_a_route_that_the_kernel_adds_later_for_an_ipv6_address_is_no_change() -> None:
    route = {"type": "local", "dst": "fe80::1", "dev": "lan", "table": "local", "protocol": "kernel"}
    assert not after_change(edited("gw/routes.json", lambda entries: entries.append(route)))


def test_elements_have_the_numbers_of_their_lines() -> None:
    found = only_group(after_change(DIFFERENT["another comment of an element"]))
    assert sides(found) == [("changed", '192.0.2.9 comment "b, a" 14', '192.0.2.9 comment "a, b" 14')]


def test_a_rule_of_several_lines_has_the_number_of_its_first_line() -> None:
    rule = "\t\ttcp dport { 80,\n\t\t\t    81 } accept\n"
    found = only_group(after_change(replaced("gw/nft.rules", "\t\tquota over 5", f"{rule}\t\tquota over 5")))
    assert sides(found) == [("added", "", "tcp dport { 80, 81 } accept 27")]


def test_the_texts_of_rules_are_those_that_answers_quote() -> None:
    quoted = {rule.text for rule in (*read_iptables(IPTABLES).rules, *read_nft(NFT).rules)}
    empty = captured()
    empty.update({T: "", "gw/nft.rules": ""})
    groups = compared(empty, captured()).routers[0].groups
    rules = [one.after for group in groups if group.part is Part.RULES for one in group.changes]
    assert {side.text for side in rules if side} == quoted
    lines = {(rule.text, rule.line) for rule in (*read_iptables(IPTABLES).rules, *read_nft(NFT).rules)}
    assert {(side.text, side.line) for side in rules if side} == lines
    policies = {rule.text for rule in read_nft(NFT).policies.values()}
    chains = {one.after.text for group in groups if group.part is Part.CHAINS for one in group.changes if one.after}
    assert policies <= chains


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("ab", "ab", []),
        ("ab", "ba", ["moved"]),
        ("abcd", "dabc", ["moved"]),
        ("abcde", "ace", ["removed b", "removed d"]),
        ("ac", "abc", ["added b"]),
        ("axc", "ayc", ["changed x y"]),
        ("aba", "ba", ["removed a"]),
        ("", "ab", ["added a", "added b"]),
        ("abc", "cxb", ["removed a", "added x", "moved"]),
    ],
)
def test_lists_in_order(before: str, after: str, expected: list[str]) -> None:
    found = in_order([Item(text, text, 1) for text in before], [Item(text, text, 1) for text in after])
    words = [
        "moved"
        if one.kind == "moved"
        else " ".join([one.kind, *(side.text for side in (one.before, one.after) if side)])
        for one in found
    ]
    assert sorted(words) == sorted(expected)


def test_rules_replaced_at_one_place_are_paired_by_their_words() -> None:
    before = [Item(text, text, 1) for text in ("-A x -s 10.0.0.1 -j ACCEPT", "-A x -s 10.0.0.2 -p udp -m udp -j DROP")]
    after = [Item(text, text, 1) for text in ("-A x -j LOG", "-A x -s 10.0.0.2 -p udp -m udp -j ACCEPT")]
    found = [
        (one.kind, one.before and one.before.text, one.after and one.after.text) for one in in_order(before, after)
    ]
    assert ("changed", before[1].text, after[1].text) in found
    assert sorted(kind for kind, *_ in found) == ["added", "changed", "removed"]


letters = st.text("abcdef", max_size=9)


def items(texts: str) -> list[Item]:
    return [Item(text, text, line, text) for line, text in enumerate(texts)]


def shape(found: list[Difference]) -> list[str]:
    return sorted(f"{one.kind} {one.before and one.before.line} {one.after and one.after.line}" for one in found)


@given(letters, letters)
def test_lists_in_order_are_compared_completely_and_symmetrically(before: str, after: str) -> None:
    """What is not in the result is equal on both sides, in order. Backwards, the result is the same."""
    found = in_order(items(before), items(after))
    changed = [one.before for one in found], [one.after for one in found]
    old, new = (
        [item.text for item in items(side) if item not in other]
        for side, other in zip((before, after), changed, strict=True)
    )
    assert old == new
    assert all(one.before and one.after and one.before.text == one.after.text for one in found if one.kind == "moved")
    assert all(one.before and one.after and one.before.text != one.after.text for one in found if one.kind == "changed")
    assert shape(found) == shape([one.swapped() for one in in_order(items(after), items(before))])


@given(letters, letters)
def test_lists_by_key_ignore_the_order_of_keys(before: str, after: str) -> None:
    found = by_key(items(before), items(after))
    counts = (
        Counter(one.before.text for one in found if one.before),
        Counter(one.after.text for one in found if one.after),
    )
    assert counts[0] == Counter(before) - Counter(after)
    assert counts[1] == Counter(after) - Counter(before)


@pytest.mark.parametrize("file", ABSENT)
def test_a_file_that_appears_or_disappears_is_a_change_of_its_own(file: str) -> None:
    path = file if file == "hosts.yaml" else f"gw/{file}"
    before = captured() | {"gw/iptables-legacy.rules": "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"}
    after = {name: text for name, text in before.items() if name != path}
    for found, words, kind in (
        (compared(before, after), f"{file} is missing now: {ABSENT[file]}", "removed"),
        (compared(after, before), f"{file} is new; without it, {ABSENT[file]}", "added"),
    ):
        groups = found.network if file == "hosts.yaml" else found.routers[0].groups
        assert groups[0].part is Part.FILES
        assert [(one.kind, one.note) for one in groups[0].changes] == [(kind, words)]
        assert words in facts_changes(found)


def test_the_rules_of_a_file_that_appears_are_listed() -> None:
    before = captured()
    del before[T]
    _, _, *rules = compared(before, captured()).routers[0].groups
    listed = [one.after.text for group in rules if group.part is Part.RULES for one in group.changes if one.after]
    assert sorted(listed) == sorted(line for line in IPTABLES.split("\n") if line.startswith("-A"))


def test_unknown_settings_are_not_listed_as_removed() -> None:
    after = captured()
    del after["gw/netconf.json"]
    assert only_group(compared(captured(), after)).part is Part.FILES


def test_an_empty_file_differs_from_none() -> None:
    without = {path: text for path, text in captured().items() if path != "gw/ipset.rules"}
    found = compared(without, without | {"gw/ipset.rules": ""})
    assert found.summary == "1 router changed: gw (1 file added)"


def test_routers_are_added_and_removed_and_the_summary_names_some() -> None:
    many = {
        f"r{number}/{file}": captured()[f"gw/{file}"] for number in range(5) for file in ("addr.json", "routes.json")
    }
    found = compared(captured(), many)
    assert found.summary.split("; ") == [
        "5 routers added: r0, r1, r2 and 2 more",
        "1 router removed: gw",
        "hosts.yaml: 1 file removed, 2 host gateways removed",
    ]
    assert [(router.router, router.kind, router.groups) for router in found.routers][:2] == [
        ("gw", "removed", ()),
        ("r0", "added", ()),
    ]
    text = facts_changes(found)
    assert "gw  removed" in text
    assert "r4  added" in text


def test_a_file_that_is_not_read_is_no_change() -> None:
    assert not compared(captured(), captured() | {"gw/collected.txt": "x", "readme.txt": "y", "other/notes.txt": ""})


def test_entries_that_age_and_change_places_are_no_change() -> None:
    entries = ["192.0.2.1 timeout 1h expires 5s", "192.0.2.1 timeout 2h expires 6s"]
    older = [entry.replace("expires ", "expires 1m") for entry in reversed(entries)]
    assert not compared(big("nft", entries), big("nft", older))


def test_windows_line_ends_are_no_change() -> None:
    assert not compared(captured(), {path: text.replace("\n", "\r\n") for path, text in captured().items()})


MIRRORED = """\
table ip filter {
\tchain FORWARD {
\t\ttype filter hook forward priority filter; policy drop;
\t\tip saddr 10.0.1.0/24 jump office
\t}

\tchain office {
\t\ttcp dport 443 accept
\t}
}
"""


def test_chains_of_iptables_that_nft_shows_again_are_compared_once() -> None:
    before, after = captured() | {"gw/nft.rules": MIRRORED}, captured() | {"gw/nft.rules": MIRRORED}
    replaced("gw/nft.rules", "dport 443", "dport 444")(after)
    native = only_group(compared(before, after))
    assert native.name == "nft ip filter office"
    replaced(T, "--dport 443", "--dport 444")(after)
    assert only_group(compared(before, after)).name == "iptables filter office"
    for files in (before, after):
        files[T] = files[T].replace(" (nf_tables)", "")
    names = [group.name for group in compared(before, after).routers[0].groups]
    assert names == ["iptables filter office", "nft ip filter office"], "the legacy variant is not shown by nft"


def test_policies_that_nft_shows_again_are_compared_once_but_those_of_other_families_are_not() -> None:
    before = captured() | {"gw/nft.rules": MIRRORED + MIRRORED.replace("table ip ", "table inet ")}
    after = before | {"gw/nft.rules": before["gw/nft.rules"].replace("policy drop", "policy accept")}
    replaced(T, "FORWARD DROP", "FORWARD ACCEPT")(after)
    names = [group.name for group in compared(before, after).routers[0].groups]
    assert names == ["iptables filter", "nft inet filter FORWARD"]
    after["gw/nft.rules"] = after["gw/nft.rules"].replace("tcp dport 443", "tcp dport 444")
    replaced(T, "--dport 443", "--dport 444")(after)
    rules = [group.name for group in compared(before, after).routers[0].groups if group.part is Part.RULES]
    assert rules == ["iptables filter office", "nft inet filter office"]


def test_a_difference_that_no_statement_shows_is_reported_by_line() -> None:
    """The hash covers where a statement ends: at the end of its line or at a semicolon."""
    found = after_change(replaced("gw/nft.rules", "type inet_service : verdict\n", "type inet_service : verdict;\n"))
    group = only_group(found)
    assert (group.part, group.name, group.changed) == (Part.OTHER, "nft.rules", 1)


def big(kind: str, entries: list[str]) -> Files:
    if kind == "ipset":
        return {"gw/ipset.rules": "create big hash:ip family inet\n" + "".join(f"add big {one}\n" for one in entries)}
    pairs = (", ".join(entries[at : at + 2]) for at in range(0, len(entries), 2))
    return {"gw/nft.rules": "table inet fw {\n\tset big {\n\t\telements = { " + ",\n\t\t".join(pairs) + " }\n\t}\n}\n"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ipset", "nft"])
def test_sets_of_a_million_entries(kind: str) -> None:
    numbers = range(1_000_000)
    entries = [f"10.{one >> 16}.{one >> 8 & 255}.{one & 255}" for one in numbers]
    before, after = big(kind, entries), big(kind, [*reversed(entries[3:]), "192.0.2.1", "192.0.2.2"])
    reordered = big(kind, entries[::-1])
    versions = [{path: text.encode() for path, text in files.items()} for files in (before, after, reordered)]
    for other, expected in ((versions[2], False), (versions[1], True)):
        limit = patience(5.0)
        began = time.process_time()
        found = changes(versions[0], other)
        assert time.process_time() - began < limit
        assert bool(found) == expected
    group = only_group(found)
    assert (group.part, group.added, group.removed, group.changed) == (Part.ENTRIES, 2, 3, 0)
    listed = {side.text: side.line for one in group.changes for side in (one.before, one.after) if side}
    assert listed.keys() == {*entries[:3], "192.0.2.1", "192.0.2.2"}
    for text, line in listed.items():
        files = after if text.startswith("192") else before
        assert text in next(iter(files.values())).split("\n")[line - 1]


@pytest.mark.parametrize("kind", ["ipset", "nft"])
def test_a_set_lists_some_entries_and_counts_all(kind: str) -> None:
    entries = [f"10.0.{one >> 8}.{one & 255}" for one in range(25_000)]
    found = compared(big(kind, entries[:12_000]), big(kind, entries[12_000:]))
    group = only_group(found)
    assert (group.added, group.removed, group.changed) == (13_000, 12_000, 0)
    assert len(group.changes) == LISTED
    assert {one.kind for one in group.changes} == {"added", "removed"}
    assert group.unlisted == 25_000 - LISTED
    assert f"    and {group.unlisted} more" in facts_changes(found)


def test_a_group_lists_at_most_a_number_of_changes_and_counts_all() -> None:
    rules = "".join(f"-A FORWARD -s 10.0.0.{number} -j DROP\n" for number in range(LISTED + 7))
    group = only_group(after_change(replaced(T, "-A FORWARD -m set", f"{rules}-A FORWARD -m set")))
    assert (group.added, len(group.changes), group.unlisted) == (LISTED + 7, LISTED, 7)


@pytest.mark.parametrize("kind", ["ipset", "nft"])
def test_many_entries_that_only_age_are_no_change(kind: str) -> None:
    aged = {"ipset": " timeout {}", "nft": " timeout 1h expires {}s"}[kind]
    before, after = (
        big(kind, [f"10.0.{one >> 8}.{one & 255}{aged.format(left)}" for one in range(11_000)]) for left in (500, 499)
    )
    assert not compared(before, after)
    found = compared(before, {path: text.replace("10.0.0.7 ", "10.9.9.9 ") for path, text in after.items()})
    group = only_group(found)
    assert (group.added, group.removed, len(group.changes)) == (1, 1, 2)


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    hostile = "\x1b[2Jgone\u202e\nforged line"
    found = after_change(
        lambda files: files.update({"gw/addr.json": json.dumps([{"ifname": "lan", "ifalias": hostile}])}),
        replaced(T, "a [1:2] b", "\x1b]0;title\x07"),
    )
    text = facts_changes(found)
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("forged") for line in text.split("\n"))
    assert r"\x1b[2Jgone" in text


def test_half_of_a_surrogate_pair_can_be_sent_as_json() -> None:
    lan = json.dumps([{"ifname": "lan", "ifalias": "\ud800"}])
    found = after_change(lambda files: files.update({"gw/addr.json": lan}))
    assert b"ifalias \\\\ud800" in msgspec.json.encode(found)


def test_the_terminal_shows_a_unified_diff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.facts_changes.style", lambda text, **_: text)
    found = after_change(DIFFERENT["another rule"], DIFFERENT["rules of a chain in another order"])
    assert facts_changes(found).split("\n") == [
        "1 router changed: gw (1 rule changed, 1 moved)",
        "",
        "gw  rules of iptables filter FORWARD",
        "  ~ -A FORWARD -m set --match-set bans src -j DROP  (moved from iptables.rules:8 to iptables.rules:7)",
        "gw  rules of iptables filter office",
        "  - -A office -p tcp -m tcp --dport 443 -j ACCEPT  (iptables.rules:9)",
        "  + -A office -p tcp -m tcp --dport 444 -j ACCEPT  (iptables.rules:9)",
    ]


def test_an_unequal_number_of_rules_is_paired_with_the_first_of_equal_likeness() -> None:
    before = [Item(text, text, 1) for text in ("-A x -s 10.0.0.1 -p udp -j ACCEPT",)]
    after = [Item(text, text, 1) for text in ("-A x -s 10.0.0.1 -p udp -j DROP", "-A x -s 10.0.0.1 -p udp -j REJECT")]
    first, second = in_order(before, after)
    assert (first.kind, first.after) == ("changed", after[0])
    assert (second.kind, second.after) == ("added", after[1])


def test_the_document_survives_json() -> None:
    found = after_change(*(change for name, change in DIFFERENT.items() if name in ("another rule", "no forwarding")))
    assert msgspec.json.decode(msgspec.json.encode(found), type=FactsChanges) == found


TEXTS = {"iptables.rules": IPTABLES, "ipset.rules": IPSET, "nft.rules": NFT, "wireguard.txt": WG}


@st.composite
def edited_texts(draw: st.DrawFn) -> tuple[str, str, str]:
    """A file, and two versions of its text that differ by a few lines and characters."""
    file = draw(st.sampled_from(sorted(TEXTS)))
    lines = TEXTS[file].split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        other = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "swap", "copy", "digit", "blank", "join"])):
            case "drop":
                del lines[at]
            case "swap":
                lines[at], lines[other] = lines[other], lines[at]
            case "copy":
                lines.insert(other, lines[at])
            case "digit":
                lines[at] = re.sub(r"\d(?=\D*$)", str(other % 10), lines[at])
            case "blank":
                lines[at] = f"  {lines[at]} "
            case _:
                lines[at : at + 2] = [" ".join(lines[at : at + 2])]
        assume(len(lines) > 1)
    return file, TEXTS[file], "\n".join(lines)


@given(edited_texts())
def test_any_edit_of_a_text_agrees_with_the_hash(edit: tuple[str, str, str]) -> None:
    file, before, after = edit
    assume(not any(dumps.faults(file, after)))
    found = compared({f"gw/{file}": before}, {f"gw/{file}": after})
    assert bool(found) == (meaning(file, before) != meaning(file, after))
    assert_swapped(found, compared({f"gw/{file}": after}, {f"gw/{file}": before}))


@given(st.sampled_from(["addr.json", "routes.json", "rules.json", "netconf.json"]), st.data())
def test_any_edit_of_entries_agrees_with_the_hash(file: str, data: st.DataObject) -> None:
    path = f"gw/{file}"
    entries: list[dict[str, Any]] = json.loads(captured()[path])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(entries) - 1))
        key = data.draw(st.sampled_from([*sorted(entries[at]), "age", "note"]))
        match data.draw(st.sampled_from(["drop", "swap", "copy", "unset", "set"])):
            case "drop" if len(entries) > 1:
                del entries[at]
            case "swap":
                entries.append(entries.pop(at))
            case "copy":
                entries.append(copy.deepcopy(entries[at]))
            case "unset":
                entries[at].pop(key, None)
            case "set":
                entries[at][key] = data.draw(st.sampled_from([7, "x", True, None, [], ["b", "a"], {"age": 3}]))
    before, after = captured()[path], json.dumps(entries)
    found = compared({path: before}, {path: after})
    meanings = [iproute.entries(file, parse_entries(text)[0]) for text in (before, after)]
    assert bool(found) == (meanings[0] != meanings[1])
    assert_swapped(found, compared({path: after}, {path: before}))


def assert_swapped(forward: FactsChanges, backward: FactsChanges) -> None:
    """Check that the same changes are reported in both directions, with added and removed exchanged."""
    kinds = {"added": "removed", "removed": "added"}
    there = Counter(
        (router.router, group.part, group.name, kinds.get(one.kind, one.kind), one.after, one.before)
        for router in forward.routers
        for group in router.groups
        for one in group.changes
    )
    back = Counter(
        (router.router, group.part, group.name, one.kind, one.before, one.after)
        for router in backward.routers
        for group in router.groups
        for one in group.changes
    )
    assert there == back


def campus() -> Files:
    return {str(path.relative_to(CAMPUS)): path.read_text() for path in sorted(CAMPUS.glob("*/*"))}


def statements() -> Iterator[tuple[str, int, Part]]:
    """Yield each statement of the sample network that is one line: its file, its line from 0, and its part."""
    json_parts = {"routes.json": Part.ROUTES, "rules.json": Part.POLICY_RULES, "netconf.json": Part.SETTINGS}
    for path, text in campus().items():
        file = path.rpartition("/")[2]
        for at, line in enumerate(text.split("\n")):
            if file in json_parts and line.strip("[], ") and not iproute.of_an_address(json.loads(line.strip("[],"))):
                yield path, at, json_parts[file]
            elif file == "iptables.rules" and line.startswith("-A "):
                yield path, at, Part.RULES
            elif file == "ipset.rules" and line.startswith("add "):
                yield path, at, Part.ENTRIES
            elif file == "wireguard.txt" and line:
                yield path, at, Part.PEERS
        if file == "nft.rules":
            yield from ((path, rule.line - 1, Part.RULES) for rule in read_nft(text).rules)


STATEMENTS = list(statements())


def edited_line(path: str, line: str) -> str:
    """Return the statement with one word changed."""
    if path.endswith(".json"):
        before, close, rest = line.rpartition("}")
        return f'{before},"note":1{close}{rest}'
    if path.endswith("wireguard.txt"):
        return f"{line} 192.0.2.0/24"
    if path.endswith("ipset.rules"):
        return f'{line} comment "x"'
    return f"{line} -m comment" if path.endswith("iptables.rules") else f"{line} comment"


@given(st.sampled_from(STATEMENTS), st.sampled_from(["remove", "edit", "add"]))
def test_one_edit_of_the_sample_network_is_one_change(statement: tuple[str, int, Part], how: str) -> None:
    path, at, part = statement
    before = campus()
    lines = before[path].split("\n")
    old = lines[at]
    if how == "edit":
        lines[at] = edited_line(path, old)
    elif path.endswith(".json"):
        entries = json.loads(before[path])
        number = sum(line.strip("[], ") != "" for line in lines[:at])
        del entries[number]
        lines = json.dumps(entries).split("\n")
    else:
        del lines[at]
    after = before | {path: "\n".join(lines)}
    if how == "add":
        before, after = after, before
    found = compared(before, after)
    (router,) = found.routers
    (group,) = router.groups
    (change,) = group.changes
    assert (router.router, group.part, group.total) == (path.partition("/")[0], part, 1)
    assert change.kind == {"remove": "removed", "edit": "changed", "add": "added"}[how]
    side = change.after if how == "add" else change.before
    assert side
    assert side.line == at + 1
    assert side.file == path.rpartition("/")[2]
    if not path.endswith(".json"):
        assert side.text in " ".join(old.split())
    assert found.summary.startswith(f"1 router changed: {router.router} (1 ")
    assert_swapped(found, compared(after, before))


def test_the_sample_network_has_statements_of_most_parts() -> None:
    assert {part for _, _, part in STATEMENTS} >= {Part.ROUTES, Part.RULES, Part.ENTRIES}


def test_two_captures_of_one_router() -> None:
    folder = Path(__file__).parents[1] / "cases" / "same-network"
    first, second = (
        {str(path.relative_to(side)): path.read_bytes() for path in side.glob("*/*")}
        for side in (folder / "first", folder / "second")
    )
    assert first != second
    assert load(folder / "first").digest == load(folder / "second").digest
    assert not changes(first, second)
