"""Which part of `nft list ruleset` a router's bench loads: its native tables. Pure.

Where iptables is the nf_tables variant, `nft list ruleset` shows its tables a second time, in words nft cannot read back;
iptables.rules holds them exactly, so they are blanked here. Blanked, not cut: line numbers stay those of the facts.

Flowtables are left out too: they carry established connections past the rules, decide nothing about a first packet, and
not every kernel has them. A rule's `flow add` becomes a `counter`, so that every rule keeps its number.
"""

from __future__ import annotations

import re

from netlab.errors import Problem
from netlab.facts.reader import RouterFacts

_TABLE = re.compile(r"^\s*table\s+(?:(ip6|inet|arp|bridge|netdev|ip)\s+)?(\S+)\s*\{")
_SAVED_TABLE = re.compile(r"^\*(\S+)", re.MULTILINE)
_MANAGED = re.compile(r"^#.*managed by iptables-nft")
_FLOWTABLE = re.compile(r"^\s*flowtable\s+\S+\s*\{")
_FLOW = re.compile(r"\bflow (?:add|offload) @\S+")
_UNPRINTABLE = re.compile(r"#\s*xt_|\bxt (match|target) |# match |# target ")


def loadable(router: RouterFacts) -> tuple[str, list[Problem]]:
    """nft.rules with the tables of iptables blanked, and a problem for every rule nft printed but cannot read."""
    saved = set(_SAVED_TABLE.findall(router.iptables))
    kept: list[str] = []
    problems: list[Problem] = []
    depth, blank_down_to, managed = 0, -1, False
    for number, line in enumerate(router.nft.splitlines(), start=1):
        bare = _without_strings(line).split("#", 1)[0]
        if depth == 0:
            managed = managed or bool(_MANAGED.match(line))
            table = _TABLE.match(line)
            if table:
                family, name = table[1] or "ip", table[2]
                if family == "ip6" or (family == "ip" and name in saved):
                    blank_down_to = 0
                elif managed and family == "ip":
                    why = f"table {name} is iptables', but iptables.rules lacks it"
                    problems.append(Problem(router.file("nft.rules"), number, why))
                managed = False
        elif blank_down_to < 0 and _FLOWTABLE.match(line):
            blank_down_to = depth
        if blank_down_to < 0 and _UNPRINTABLE.search(_without_strings(line)):
            why = f"`{line.strip()}` cannot be read back by nft; add iptables.rules"
            problems.append(Problem(router.file("nft.rules"), number, why))
        kept.append("" if blank_down_to >= 0 else _FLOW.sub("counter", line))
        depth += bare.count("{") - bare.count("}")
        if depth <= blank_down_to:
            blank_down_to = -1
    return "\n".join(kept), problems


def _without_strings(line: str) -> str:
    return re.sub(r'"[^"]*"', '""', line)
