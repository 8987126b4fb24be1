"""The comparison of two results: what counts as a difference, what does not, and the sentences."""

from __future__ import annotations

from typing import Any

from app.answers import compare as comparing
from app.answers.differences import Comparison
from tests.support.results import Document, document, hop, policy, read, router, rule, sample, service

SAME_FACTS = "The network’s facts are the same in both."
QUICK_FIRST = (
    "The first is quick, the second detailed: only the detailed one tested the return path, "
    "so answers that depend on the reply cannot be compared."
)


def compare(a: Document, b: Document) -> Comparison:
    return comparing.compare(read(a), read(b))


def run(answers: dict[str, Any], path: tuple[str, ...] = ("r", "s"), **other: Any) -> dict[str, Any]:
    """A quick run whose first router has this result, and the others YES."""
    services = [service(name, answer[0] if isinstance(answer, tuple) else answer) for name, answer in answers.items()]
    first, *others = path
    passed = [router(name, n, dict.fromkeys(answers, "YES")) for n, name in enumerate(others, start=2)]
    return document(services, [router(first, 1, answers), *passed], **other)


def detailed(name: str, result: str, hops: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    return document([service(name, result, hops=hops, **other)], mode="detailed")


def test_the_same_run_twice() -> None:
    for name in ("quick", "quick-many", "detailed", "detailed-nat"):
        found = compare(sample(name), sample(name))
        assert found.same
        assert found.sentences == ("Nothing changed: same results, same paths and rules.", SAME_FACTS)
        assert found.headline == "Nothing has changed"
        assert (found.paths, found.rules) == ((), ())


def test_quick_and_detailed_of_one_question_agree() -> None:
    found = compare(sample("quick"), sample("detailed"))
    assert found.same
    assert found.modes == ("quick", "detailed")
    assert found.sentences[0] == QUICK_FIRST
    other = compare(sample("detailed"), sample("quick"))
    assert other.same
    assert other.sentences[0] == QUICK_FIRST.replace("quick, the second detailed", "detailed, the second quick")


def test_a_yes_that_is_now_a_no() -> None:
    now = run({"443/tcp": ("NO", rule())})
    found = compare(run({"443/tcp": "YES"}), now)
    assert not found.same
    assert found.verdict == ("YES", "NO")
    (change,) = found.services
    assert (change.kind, change.before, change.after) == ("changed", "YES", "NO")
    assert found.sentences == ("443/tcp was YES and is now NO: r, FORWARD rule 7 (r/iptables.rules:31).", SAME_FACTS)


def test_a_no_that_is_now_a_yes() -> None:
    found = compare(run({"443/tcp": ("NO", rule())}), run({"443/tcp": "YES"}))
    assert found.sentences == (
        "443/tcp was NO and is now YES: r, FORWARD rule 7 (r/iptables.rules:31) no longer stops it.",
        SAME_FACTS,
    )


def test_services_of_which_the_same_is_to_be_said_share_a_sentence() -> None:
    names = [f"{port}/tcp" for port in (80, 81, 82, 443)]
    found = compare(run(dict.fromkeys(names, "YES")), run({name: ("NO", policy()) for name in names}))
    assert found.sentences == (
        "80-82/tcp, 443/tcp were YES and are now NO: r, policy DROP of FORWARD (r/iptables.rules:4).",
        SAME_FACTS,
    )


def test_unknown_is_told_apart() -> None:
    unknown = run({"22/tcp": "UNKNOWN"})
    unknown["services"][0]["reason"] = "several far ends"
    found = compare(run({"22/tcp": "NO"}), unknown)
    assert not found.same
    assert found.sentences == ("22/tcp was NO and is now UNKNOWN: r, several far ends.", SAME_FACTS)


def test_services_of_one_run_only() -> None:
    found = compare(run({"22/tcp": "YES", "80/tcp": "YES"}), run({"80/tcp": "YES", "icmp": "YES"}))
    assert not found.same
    assert {change.name: change.kind for change in found.services} == {
        "80/tcp": "same",
        "icmp": "only in b",
        "22/tcp": "only in a",
    }
    assert found.sentences == (
        "Nothing has changed in the one service tested in both runs; icmp was tested only in the second run: YES; "
        "22/tcp was tested only in the first run: YES.",
        SAME_FACTS,
    )
    assert found.headline == (
        "Nothing has changed in the services tested in both runs; tested in only one run: icmp, 22/tcp"
    )


def test_services_of_one_run_only_beside_those_of_both() -> None:
    more = {"22/tcp": ("NO", rule()), "80/tcp": "YES", "icmp": "YES"}
    found = compare(run({"80/tcp": "YES", "icmp": "YES"}), run(more))
    assert found.sentences[0] == (
        "Nothing has changed in the 2 services tested in both runs; 22/tcp was tested only in the second run: "
        "NO, because of r, FORWARD rule 7 (r/iptables.rules:31)."
    )
    changed = compare(run({"80/tcp": "YES"}), run({"80/tcp": ("NO", rule()), "icmp": "YES"}))
    assert changed.sentences[1] == "icmp was tested only in the second run: YES."
    nothing = compare(run({"80/tcp": "YES"}), run({"icmp": "YES"}))
    assert not nothing.unchanged
    assert nothing.sentences[0] == "No service was tested in both runs."


def test_another_path() -> None:
    found = compare(run({"22/tcp": "YES"}, ("r", "wan-1", "s")), run({"22/tcp": "YES"}, ("r", "wan-2", "s")))
    assert not found.same
    (change,) = found.paths
    assert change.diff == ((" ", "r"), ("-", "wan-1"), ("+", "wan-2"), (" ", "s"))
    assert found.sentences == ("The forward path of 22/tcp now goes through wan-2 instead of wan-1.", SAME_FACTS)


def test_a_router_less_on_the_path() -> None:
    found = compare(run({"22/tcp": "YES"}, ("r", "x", "y", "s")), run({"22/tcp": "YES"}, ("r", "s")))
    assert found.sentences == ("The forward path of 22/tcp no longer goes through x and y.", SAME_FACTS)


def test_a_path_that_ends_where_it_is_stopped_is_no_other_path() -> None:
    through = detailed(
        "22/tcp", "YES", [hop("r", "request"), hop("s", "request"), hop("s", "reply"), hop("r", "reply")]
    )
    stop = hop("r", "request", "NO", rule=rule())
    stopped = detailed("22/tcp", "NO", [stop], blocked="request", blocked_by=["r"])
    for found in (compare(through, stopped), compare(stopped, through)):
        assert found.paths == ()
        assert not found.same


def test_a_no_for_another_reason_is_not_the_same() -> None:
    before = run({"22/tcp": ("NO", rule())})
    after = document(
        [service("22/tcp", "NO")],
        [router("r", 1, {"22/tcp": "YES"}), router("s", 2, {"22/tcp": ("NO", policy(file="s/iptables.rules"))})],
    )
    found = compare(before, after)
    assert not found.same
    assert found.services[0].kind == "elsewhere"
    assert found.sentences == (
        "22/tcp is still NO, but now because of s, policy DROP of FORWARD (s/iptables.rules:4) "
        "(previously r, FORWARD rule 7 (r/iptables.rules:31)).",
        SAME_FACTS,
    )


def test_a_reply_that_is_stopped_now() -> None:
    there = [hop("r", "request", rule=rule("-j ACCEPT", verdict="ACCEPT"))]
    before = detailed("80/tcp", "YES", [*there, hop("r", "reply")])
    drop = rule(chains=("PREROUTING",))
    after = detailed("80/tcp", "NO", [*there, hop("r", "reply", "NO", rule=drop)], blocked="reply", blocked_by=["r"])
    found = compare(before, after)
    assert found.sentences == (
        "80/tcp was YES and is now NO: the reply at r, PREROUTING rule 7 (r/iptables.rules:31).",
        SAME_FACTS,
    )
    assert [(change.direction, change.before) for change in found.rules] == [("reply", None)]


def test_a_reply_that_only_the_detailed_run_looked_at_is_no_change() -> None:
    drop = rule(chains=("PREROUTING",))
    hops = [hop("r", "request"), hop("r", "reply", "NO", rule=drop)]
    stopped = detailed("80/tcp", "NO", hops, blocked="reply", blocked_by=["r"])
    quick = run({"80/tcp": "YES"}, ("r",))
    found = compare(quick, stopped)
    assert [change.kind for change in found.services] == ["not looked at"]
    assert (found.unchanged, found.same) == (True, False)
    assert found.headline == "Nothing that both runs tested has changed"
    assert found.sentences == (
        QUICK_FIRST,
        "80/tcp is YES in the quick run, which did not test the return path; the detailed one did: "
        "the reply at r, PREROUTING rule 7 (r/iptables.rules:31).",
        SAME_FACTS,
    )
    assert [change.kind for change in compare(stopped, quick).services] == ["not looked at"]
    silent = detailed("80/tcp", "UNKNOWN", [hop("r", "request")], outcome="TIMEOUT")
    assert [change.kind for change in compare(quick, silent).services] == ["not looked at"]


def test_what_two_modes_say_differently_is_not_called_a_change() -> None:
    quick = run({"22/tcp": ("NO", rule())}, ("r",))
    works = detailed("22/tcp", "YES", [hop("r", "request"), hop("r", "reply")])
    found = compare(quick, works)
    assert [change.kind for change in found.services] == ["changed"]
    assert found.sentences[1:] == (
        "22/tcp is NO in the quick run: r, FORWARD rule 7 (r/iptables.rules:31); YES in the detailed run.",
        SAME_FACTS,
    )
    for one, other in ((quick, works), (works, quick), (sample("quick"), sample("detailed-nat"))):
        sentence = " ".join(compare(one, other).sentences)
        assert not [word for word in ("now", "no longer", "still") if f" {word} " in sentence], sentence


def test_paths_and_rules_of_two_modes() -> None:
    drop = hop("s", "request", "NO", rule=rule("-s 10.0.0.0/8 -j DROP"))
    stopped = detailed("22/tcp", "NO", [hop("x", "request"), drop], blocked="request", blocked_by=["s"])
    quick = document(
        [service("22/tcp", "NO")], [router("y", 1, {"22/tcp": "YES"}), router("s", 2, {"22/tcp": ("NO", rule())})]
    )
    assert compare(quick, stopped).sentences[1:] == (
        "The forward path of 22/tcp goes through y only in the first, through x only in the second.",
        "On s the runs name different rules for 22/tcp: FORWARD rule 7 of table filter: -j DROP (r/iptables.rules:31) "
        "in the first, FORWARD rule 7 of table filter: -s 10.0.0.0/8 -j DROP (r/iptables.rules:31) in the second.",
        SAME_FACTS,
    )


def test_a_router_only_named_as_further_on_is_no_part_of_a_path() -> None:
    stop = hop("r", "request", "NO", rule=rule())
    stopped = detailed("22/tcp", "NO", [stop], path=["r"], blocked="request", blocked_by=["r"], also_blocked_by=["t"])
    found = compare(run({"22/tcp": ("NO", rule())}, ("r", "s", "t")), stopped)
    assert found.same
    assert (found.paths, found.rules) == ((), ())


def test_another_rule_with_the_same_answer() -> None:
    found = compare(run({"22/tcp": ("NO", rule())}), run({"22/tcp": ("NO", rule("-s 10.0.0.0/8 -j DROP"))}))
    assert not found.same
    (change,) = found.rules
    assert (change.router, change.names, change.moved) == ("r", ("22/tcp",), False)
    assert found.sentences == (
        "On r, a different rule decides 22/tcp: FORWARD rule 7 of table filter: -j DROP (r/iptables.rules:31) before, "
        "FORWARD rule 7 of table filter: -s 10.0.0.0/8 -j DROP (r/iptables.rules:31) now.",
        SAME_FACTS,
    )


def test_a_rule_that_moved_changes_nothing() -> None:
    found = compare(run({"22/tcp": ("NO", rule())}), run({"22/tcp": ("NO", rule(number=8, line=35))}, facts="f" * 12))
    assert found.same
    assert [change.moved for change in found.rules] == [True]
    assert found.sentences[1:] == (
        "On r the rule for 22/tcp is the same but has moved from FORWARD rule 7 (r/iptables.rules:31) "
        "to FORWARD rule 8 (r/iptables.rules:35).",
        f"The facts of the network changed between the two (abcdef123456, then {'f' * 12}).",
    )


def test_counters_of_a_policy_are_no_difference() -> None:
    found = compare(run({"22/tcp": ("NO", policy())}), run({"22/tcp": ("NO", policy(text=":FORWARD DROP [0:0]"))}))
    assert found.same
    assert found.rules == ()


def test_a_run_that_was_not_to_look_for_rules_has_none_to_differ() -> None:
    assert compare(run({"22/tcp": ("NO", rule())}), run({"22/tcp": "NO"})).same


def test_another_question_is_never_the_same() -> None:
    found = compare(run({"22/tcp": "YES"}), run({"22/tcp": "YES"}, destination="10.9.9.9"))
    assert not found.same
    assert found.sentences == (
        "The first run tests 10.1.10.20 → 10.3.20.8, the second 10.1.10.20 → 10.9.9.9.",
        SAME_FACTS,
    )
