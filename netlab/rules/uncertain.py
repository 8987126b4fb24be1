"""What is uncertain about rules: the kinds, the parts that this machine refuses, and one uncertain rule. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from netlab.rules.saved_firewall import SavedRule


class Kind(Enum):
    """What a match depends on in addition to the packet."""

    TRAFFIC = "earlier traffic"
    """A counter. Its verdict on the first packet after a reset is certain; later packets can have another one."""
    CHANCE = "chance"
    """A random or alternating choice. Any packet may have any of the outcomes."""
    LACKING = "a match that this machine cannot evaluate"
    """A match that the kernel or the tools of this machine do not have."""
    TARGET = "a target that this machine cannot evaluate"
    """A target, or a statement of nft, that the kernel or the tools of this machine do not have.

    The rule stops the packet on the bench.
    """
    ORDER = "the order of chains"
    """Which of several chains with the same hook and priority is asked first (netlab/rules/equal_priorities.py)."""


@dataclass(frozen=True)
class Lacking:
    """The parts of one router's rules that the kernel or the tools of this machine refuse."""

    iptables: frozenset[int] = frozenset()
    """Line numbers in iptables.rules of rules with a refused match."""
    targets: frozenset[int] = frozenset()
    """Line numbers in iptables.rules of rules with a refused target."""
    nft: frozenset[int] = frozenset()
    """Line numbers in nft.rules."""
    sets: frozenset[str] = frozenset()
    """Names of ipsets."""


NOTHING = Lacking()


@dataclass(frozen=True)
class Tie:
    """A table whose NAT rules are asked before or after those of another table."""

    what: str
    """What is not known, as a noun phrase."""
    of_source: bool
    """Whether the rules change the source; otherwise they change the destination."""


@dataclass(frozen=True)
class Uncertain:
    """One rule with an uncertain match. `branches` are the branch numbers of its outcomes other than that of branch 0."""

    kind: Kind
    rule: SavedRule
    branches: tuple[int, ...]
    tie: Tie | None = None
    """For `Kind.ORDER`."""
