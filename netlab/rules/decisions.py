"""Finds the rules that decided about a packet, from its trace through one router. Pure.

In each base chain exactly one decision is made: by a rule that accepts or drops, in the chain itself or in a chain that
it jumps to, or otherwise by the chain's policy. After LOG, MARK, counters and RETURN the packet continues, so they
decide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from netlab.results import document as results
from netlab.rules.rulebook import Rulebook
from netlab.rules.saved_firewall import SavedRule
from netlab.rules.trace_events import BENCH_TABLE, Event, Kind, Verdict

_ENDS = {Verdict.ACCEPT, Verdict.DROP, Verdict.STOLEN, Verdict.QUEUE}
_REJECTS = re.compile(r"(-j REJECT\b|\breject\b)")


class RuleDecision(NamedTuple):
    """The decision in one base chain. `rule` is the rule or policy in the facts, None if the facts do not show it."""

    family: str
    table: str
    chains: tuple[str, ...]
    """The base chain, and the user chains that the packet had entered and not yet left when the decision was made."""
    hook: str
    verdict: str
    policy: bool
    rule: SavedRule | None
    lacking: bool = False
    """Whether this machine lacks the target of the rule. The verdict is then that of the bench, not of the router."""

    @property
    def stops(self) -> bool:
        """Whether the decision stopped the packet."""
        return self.verdict != "ACCEPT"

    def document(self) -> results.Rule:
        """Convert the decision for the result document.

        `number` is None for a policy. `number`, `text`, `file` and `line` are None if the facts do not show the rule.
        """
        rule = self.rule
        return results.Rule(
            family=rule.family if rule else self.family,
            table=self.table,
            chain=self.chains[-1],
            chains=self.chains,
            number=rule.number if rule and not self.policy else None,
            text=rule.text if rule else None,
            file=rule.file if rule else None,
            line=rule.line if rule else None,
            hook=self.hook,
            verdict=self.verdict,
            policy=self.policy,
        )


def decisions(events: Iterable[Event], book: Rulebook) -> list[RuleDecision]:
    """Return the decision in each base chain that the packet passed, in order, without those of the bench's own table."""
    decided: list[RuleDecision] = []
    chains: list[str] = []
    for event in events:
        if event.table == BENCH_TABLE:
            continue
        if event.network:  # the first event of a base chain has the headers
            chains = [event.chain]
        elif event.chain in chains:
            del chains[chains.index(event.chain) + 1 :]
        else:
            chains.append(event.chain)
        hook = book.hook(event.table, chains[0])
        if event.kind is Kind.POLICY:
            policy = book.policy(event.table, event.chain)
            decided.append(
                RuleDecision(event.family, event.table, tuple(chains[:1]), hook, event.verdict.name, True, policy)
            )
        elif event.kind is Kind.RULE and event.verdict in _ENDS:
            rule = book.rule(event.table, event.chain, event.handle)
            verdict, lacking = _verdict(event.verdict, rule), rule in book.lacking_targets
            decided.append(RuleDecision(event.family, event.table, tuple(chains), hook, verdict, False, rule, lacking))
    return decided


def deciding(decided: list[RuleDecision]) -> RuleDecision | None:
    """Return the decision to show as "the rule": the one that blocked the packet, or one that accepted it.

    Only the filter chains (hooks forward, input, output) count for an accepted packet. An accepting rule is preferred
    to a policy, and the last of several rules to the earlier ones. The result is None if there is no such decision.
    """
    for decision in decided:
        if decision.stops:
            return decision
    filters = [decision for decision in decided if decision.hook in ("forward", "input", "output")]
    ranked = sorted(filters, key=lambda d: (not d.policy, d.table == "filter" or d.rule is not None))
    return ranked[-1] if ranked else None


def _verdict(verdict: Verdict, rule: SavedRule | None) -> str:
    if verdict is Verdict.DROP and rule and _REJECTS.search(rule.text):
        return "REJECT"
    return verdict.name
