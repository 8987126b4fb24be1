"""The rulebook, which maps the kernel's rule handles to the lines of the facts."""

from __future__ import annotations

from netlab.facts.reader import RouterFacts
from netlab.rules.rulebook import LONG_CHAIN, Rulebook
from netlab.rules.saved_firewall import Chain


def test_the_handles_of_a_short_chain_are_listed_when_needed_and_once() -> None:
    lines = ["-A own -j DROP", *["-A FORWARD -j own"] * (LONG_CHAIN + 1)]
    text = "\n".join(["*filter", ":FORWARD ACCEPT [0:0]", ":own - [0:0]", *lines, "COMMIT", ""])
    native = "table inet other {\n\tchain c {\n\t\taccept\n\t\tdrop\n\t}\n}\n"
    asked: list[Chain] = []

    def handles(chain: Chain) -> list[int]:
        asked.append(chain)
        return [7] if chain[2] in ("own", "c") else [*range(10, 10 + LONG_CHAIN + 1)]

    book = Rulebook(RouterFacts("r1", (), (), None, text, "", native), handles, {})
    assert asked == [("ip", "filter", "FORWARD")]
    for _ in range(2):
        rule = book.rule("filter", "own", 7)
        assert rule
        assert (rule.line, rule.number) == (4, 1)
    last = book.rule("filter", "FORWARD", 10 + LONG_CHAIN)
    assert last
    assert last.number == LONG_CHAIN + 1
    assert book.rule("filter", "own", 8) is None
    assert book.rule("other", "c", 7) is None, "the kernel has another number of rules in this chain"
    assert book.rule("none", "c", 7) is None
    assert asked == [("ip", "filter", "FORWARD"), ("ip", "filter", "own"), ("inet", "other", "c")]
