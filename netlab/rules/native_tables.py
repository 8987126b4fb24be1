"""Selects the part of `nft list ruleset` that the bench loads: a router's native tables. Pure.

With the nf_tables variant of iptables, `nft list ruleset` shows its tables a second time, in a form that nft cannot
read back. iptables.rules contains them exactly, so they are blanked here, which keeps the line numbers of the facts.

Flowtables are omitted too: they carry established connections past the rules, decide nothing about a first packet, and
not every kernel supports them. A rule's `flow add` becomes a `counter`, so that every rule keeps its number.
"""

from __future__ import annotations

import re

from netlab.errors import Problem
from netlab.facts.reader import RouterFacts
from netlab.rules.saved_firewall import Block, SavedFirewall, read_iptables, read_nft

_QUOTED = re.compile(r'"[^"\n]*"')
_FLOW = re.compile(r"\bflow (?:add|offload) @\S+")
_UNPRINTABLE = re.compile(r"#\s*xt_|\bxt (match|target) |# match |# target ")


def loadable(router: RouterFacts) -> tuple[str, list[Problem]]:
    """nft.rules with the tables of iptables blanked, and a problem for every rule that nft printed but cannot read."""
    file = router.file("nft.rules")
    saved = {table for _, table, _ in read_iptables(router.iptables).hooks}
    text = router.nft.removesuffix("\n")
    problems, pieces, at = list[Problem](), list[str](), 0
    for block in sorted(read_nft(text).blocks, key=lambda block: block.start):
        if block.start < at:
            continue  # within an omitted table
        if _left_out(block, saved):
            pieces += [text[at : block.start], "\n" * text.count("\n", block.start, block.end)]
            at = block.end
        elif block.managed and block.family == "ip":
            why = f"table {block.name} is iptables', but iptables.rules lacks it"
            problems.append(Problem(file, block.line, why))
    text = _FLOW.sub("counter", "".join([*pieces, text[at:]]))
    for number, line in enumerate(text.split("\n"), start=1):
        if _UNPRINTABLE.search(_QUOTED.sub('""', line)):
            why = f"`{line.strip()}` cannot be read back by nft; add iptables.rules"
            problems.append(Problem(file, number, why))
    return text, sorted(problems, key=lambda problem: problem.line)


def native_firewall(router: RouterFacts) -> SavedFirewall:
    """The rules of the router's native tables: the content of nft.rules except the tables of iptables."""
    return read_nft(loadable(router)[0], router.file("nft.rules"))


def _left_out(block: Block, saved: set[str]) -> bool:
    """Whether the block is a flowtable, a table of IPv6, or one of the tables of iptables (`saved`)."""
    if block.kind == "flowtable" or block.family == "ip6":
        return True
    return block.family == "ip" and block.name in saved
