"""The statements in the output of iptables-save: tables, chains with their policies, and rules. Pure."""

from __future__ import annotations

from netlab.facts.changes.document import Part
from netlab.facts.changes.listings import Listings
from netlab.facts.changes.sequences import Item
from netlab.facts.meaning.iptables import chain_of, comment_kept, without_counters


def listings(tool: str, text: str) -> Listings:
    """Return the statements. `tool` is `iptables` or `iptables-legacy`, and begins the name of each group."""
    found, table = Listings(), ""
    comments: dict[str, int] = {}
    for number, line in enumerate(map(str.strip, text.split("\n")), start=1):
        if line.startswith(("-A ", "[")):
            rule = without_counters(line)
            found.add(Part.RULES, f"{tool} {table} {chain_of(rule)}", Item(rule, rule, number))
        elif line.startswith("*"):
            if table != line[1:] and (Part.CHAINS, f"{tool} {line[1:]}") not in found:
                found.add(Part.CHAINS, f"{tool} {line[1:]}", Item(line, line, number, line))
            table = line[1:]
        elif line.startswith(":"):
            chain = without_counters(line)
            found.add(Part.CHAINS, f"{tool} {table}", Item(chain, chain, number, chain.partition(" ")[0]))
        elif comment := comment_kept(line):
            comments.setdefault(comment, number)
    for comment, number in comments.items():
        variant = comment in ("#  (nf_tables)", "#  (legacy)")
        text = f"printed by the {comment[4:-1]} variant" if variant else comment
        found.add(Part.OTHER, tool, Item(comment, text, number, "variant" if variant else comment))
    return found
