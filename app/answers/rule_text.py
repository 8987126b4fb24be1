"""The text of a rule, which is the same everywhere, and the address of its line in the pages. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from app.formatting import ARROW
from netlab.results.document import Rule

STOPS = {"DROP": "drops", "REJECT": "rejects", "STOLEN": "diverts", "QUEUE": "passes to a program"}


@dataclass(frozen=True)
class RuleText:
    """A deciding rule in words. Two are equal if they are the same rule in the same place."""

    short: str
    """Short name, such as `FORWARD rule 7`, `FORWARD → users-out rule 7` or `policy DROP of FORWARD`."""
    text: str
    """The rule in its router's syntax, without the chain.

    It is empty for a policy, and if the facts do not show the rule.
    """
    where: str
    """File and line, such as `dc-core/iptables.rules:31`; empty if the facts do not show it."""
    table: str
    chains: tuple[str, ...]
    verdict: str

    @property
    def does(self) -> str:
        """What the rule did with the packet, such as `drops`, `rejects` or `lets through`."""
        return STOPS.get(self.verdict, "lets through")

    @property
    def stops(self) -> bool:
        """Whether this rule stopped the packet."""
        return self.verdict in STOPS

    @property
    def named(self) -> str:
        """Short name with file and line, such as `FORWARD rule 7 (dc-core/iptables.rules:31)`."""
        return f"{self.short} ({self.where})" if self.where else self.short

    @property
    def without_place(self) -> str:
        """The rule without its file and line, such as `FORWARD rule 7: -s … -j DROP` or `policy DROP of FORWARD`."""
        return f"{self.short}: {self.text}" if self.text else self.short

    @property
    def whole(self) -> str:
        """The whole rule, such as `FORWARD rule 7 of table filter: -s … -j DROP (dc-core/iptables.rules:31)`."""
        text = f": {self.text}" if self.text else ""
        return f"{self.short} of table {self.table}{text}" + (f" ({self.where})" if self.where else "")

    @property
    def line(self) -> str:
        """File and line such as `iptables.rules:31`, for places that already show the router's name."""
        return self.where.partition("/")[2]

    @property
    def href(self) -> str:
        """The address of the line on its router's page; empty if the facts do not show it."""
        router, _, file = self.where.rpartition(":")[0].partition("/")
        number = self.where.rpartition(":")[2]
        return f"{router_address(router)}#{quote(f'{file}-{number}', safe='')}" if self.where else ""


def router_address(name: str) -> str:
    """Return the address of a router's page."""
    return f"/network/{quote(name, safe='')}"


def rule_text(rule: Rule | None) -> RuleText | None:
    """Return the text of a rule, or None if there is no rule."""
    if rule is None:
        return None
    chain = ARROW.join(rule.chains)
    text = (rule.text or "").removeprefix(f"-A {rule.chain} ")
    if rule.policy:
        short, text = f"policy {rule.verdict} of {chain}", ""
    elif rule.number:
        short = f"{chain} rule {rule.number}"
    else:
        short = f"a rule of {chain}" if text else f"a rule of {chain} ({rule.verdict})"
    where = f"{rule.file}:{rule.line}" if rule.file else ""
    return RuleText(short, text, where, rule.table, rule.chains, rule.verdict)
