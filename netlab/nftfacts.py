"""Which part of `nft list ruleset` a router's bench loads: its native tables. Pure.

Where iptables is the nf_tables variant, `nft list ruleset` shows its tables a second time, in words nft cannot read back;
iptables.rules holds them exactly, so they are blanked here. Blanked, not cut: line numbers stay those of the facts.
"""

from __future__ import annotations

import re

from netlab.errors import Problem
from netlab.facts import RouterFacts

_TABLE = re.compile(r"^\s*table\s+(?:(ip6|inet|arp|bridge|netdev|ip)\s+)?(\S+)\s*\{")
_SAVED_TABLE = re.compile(r"^\*(\S+)", re.MULTILINE)
_MANAGED = re.compile(r"^#.*managed by iptables-nft")
_UNPRINTABLE = re.compile(r"#\s*xt_|\bxt (match|target) |# match |# target ")


def loadable(router: RouterFacts) -> tuple[str, list[Problem]]:
    """nft.rules with the tables of iptables blanked, and a problem for every rule nft printed but cannot read."""
    saved = set(_SAVED_TABLE.findall(router.iptables))
    kept: list[str] = []
    problems: list[Problem] = []
    depth, dropping, managed = 0, False, False
    for number, line in enumerate(router.nft.splitlines(), start=1):
        if depth == 0:
            managed = managed or bool(_MANAGED.match(line))
            table = _TABLE.match(line)
            if table:
                family, name = table[1] or "ip", table[2]
                dropping = family == "ip" and name in saved
                if managed and not dropping and family == "ip":
                    problems.append(
                        Problem(
                            router.file("nft.rules"),
                            number,
                            f"table {name} is iptables', but iptables.rules lacks it",
                        )
                    )
                dropping = dropping or family == "ip6"
                managed = False
        if not dropping and _UNPRINTABLE.search(_without_strings(line)):
            problems.append(
                Problem(
                    router.file("nft.rules"),
                    number,
                    f"`{line.strip()}` cannot be read back by nft; add iptables.rules",
                )
            )
        bare = _without_strings(line).split("#", 1)[0]
        depth += bare.count("{") - bare.count("}")
        kept.append("" if dropping else line)
        if depth == 0:
            dropping = False
    return "\n".join(kept), problems


def _without_strings(line: str) -> str:
    return re.sub(r'"[^"]*"', '""', line)
