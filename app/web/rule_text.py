"""One rule of a result document in words for the pages: short beside a picture, whole in a tooltip. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app import spelling

STOPS = {"DROP": "drops", "REJECT": "rejects", "STOLEN": "hands elsewhere", "QUEUE": "hands to a program"}


@dataclass(frozen=True)
class RuleText:
    """What decided, in words; two are equal when they are the same rule at the same place."""

    short: str
    """`FORWARD rule 7`, `FORWARD → users-out rule 7`, `policy of FORWARD`."""
    text: str
    """The rule as its router spells it, without its chain; for a policy `policy DROP`; empty when facts do not show it."""
    where: str
    """`dc-core/iptables.rules:31`; empty when facts do not show it."""
    table: str
    chains: tuple[str, ...]
    verdict: str

    @property
    def does(self) -> str:
        """What became of the packet: `drops`, `rejects`, `lets through` …"""
        return STOPS.get(self.verdict, "lets through")

    @property
    def named(self) -> str:
        """`FORWARD rule 7 (dc-core/iptables.rules:31)`."""
        return f"{self.short} ({self.where})" if self.where else self.short

    @property
    def whole(self) -> str:
        """`FORWARD rule 7 of table filter: -s … -j DROP (dc-core/iptables.rules:31)`."""
        text = f": {self.text}" if self.text else f": {self.verdict}"
        return f"{self.short} of table {self.table}{text}" + (f" ({self.where})" if self.where else "")


def rule_text(rule: Mapping[str, Any] | None) -> RuleText | None:
    """The words for a documents.Rule as a dict; None for None."""
    if rule is None:
        return None
    if rule["policy"]:
        short, text = f"policy of {spelling.chain(rule)}", f"policy {rule['verdict']}"
    elif rule.get("number"):
        short, text = f"{spelling.chain(rule)} rule {rule['number']}", spelling.body(rule)
    else:
        short, text = f"a rule of {spelling.chain(rule)}", spelling.body(rule)
    return RuleText(short, text, spelling.place(rule), str(rule["table"]), tuple(rule["chains"]), str(rule["verdict"]))
