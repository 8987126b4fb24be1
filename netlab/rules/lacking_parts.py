"""Replaces the matches, targets and statements that the kernel or the tools of this machine refuse. Pure.

A refused match becomes a test of the branch (netlab/rules/rule_replacement.py). A rule with a refused target
(`-j TARPIT`) stops the packet on the bench instead. The packets that it stops are those that the target would get, so a
test that ends there is UNKNOWN (netlab/rules/decisions.py). A target that only logs or counts is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from netlab.facts.dumps.extensions import SILENT_TARGETS, TARGETS, never_loaded
from netlab.facts.dumps.iptables import BUILT_IN, target_of
from netlab.rules.rule_replacement import STRINGS, Replace, Take, hide, iptables_test, nft_test, show
from netlab.rules.saved_firewall import Chain, SavedRule
from netlab.rules.uncertain import Kind, Lacking

_SEGMENT = re.compile(r"-m (\S+)(?:(?! -[mjg] ).)*")
"""One `-m` match of iptables with its options."""
_TARGET_NAME = re.compile(r" -j (?=(\S+))")
_MATCHED_SET = re.compile(r"--match-set (\S+)")
_ALWAYS_THERE = frozenset(
    "tcp udp icmp comment conntrack state multiport mark connmark u32 limit hashlimit connlimit quota statistic"
    " recent".split()
)
_BASIC_TARGETS = frozenset("CONNMARK DNAT LOG MARK MASQUERADE REDIRECT REJECT SET SNAT".split())
"""Targets that every machine of a bench has. A refused rule with such a target is damaged."""
_MODULE_TARGETS = frozenset(TARGETS) - _BASIC_TARGETS
_DECIDES_NOTHING = SILENT_TARGETS | frozenset(
    "CHECKSUM CLASSIFY CONNSECMARK ECN NFLOG RATEEST SECMARK TCPMSS TCPOPTSTRIP TRACE".split()
)
"""Targets after which the first packet of a connection continues unchanged in all that rules and routes look at."""
_SET_TARGET = re.compile(r" -j SET .*?--(add|del|map)-set (\S+)")
_CHANGES_TRACKING = re.compile(r" --(?:notrack|zone)")
_STOP, _STOP_IN_NAT = " -j DROP", " -j NFQUEUE --queue-num 65535"
"""Targets that stop the packet. iptables refuses DROP in the table nat; the bench has no program for the queue."""
_NFT_DOES = re.compile(
    r"\b(?:accept|drop|reject(?: with .*)?|return|continue|(?:jump|goto) \S+)$| set \S"
    r"|\b(?:tproxy|synproxy|dup|fwd|queue|dnat|snat|masquerade|redirect|notrack)\b"
)
"""The action of a rule. A refused line without an action is damaged, so it is not replaced."""
_NFT_VERDICT = re.compile(r"\b(?:accept|drop|reject(?: with .*)?|return|continue|(?:jump|goto) \S+)$")


def never_loads_all(iptables: str) -> bool:
    """Whether a rule has a target that is never loaded, on any machine."""
    return any(map(never_loaded, set(_TARGET_NAME.findall(iptables))))


def lacking_match(lacking: Lacking) -> Replace:
    """Return a function that replaces all matches refused in one rule of iptables.rules with one test of the branch."""

    def replace(rule: SavedRule, line: str, take: Take) -> tuple[str, Kind | None, tuple[int, ...]]:
        def refused(match: re.Match[str]) -> bool:
            if match[1] == "set":
                name = _MATCHED_SET.search(match[0])
                return bool(name and name[1] in lacking.sets)
            return rule.line in lacking.iptables and match[1] not in _ALWAYS_THERE

        hidden, strings = hide(line, STRINGS, "\0")
        places = [match for match in _SEGMENT.finditer(hidden) if refused(match)]
        if not places:
            return line, None, ()
        branch = take(False)
        test = iptables_test(branch)
        for match in reversed(places):
            first = match is places[0]
            hidden = f"{hidden[: match.start()]}{test if first else ''}{hidden[match.end() :]}"
        return show(" ".join(hidden.split()), strings, "\0"), Kind.LACKING, (branch,)

    return replace


def lacking_target(lacking: Lacking, declared: Collection[Chain], silent: list[SavedRule]) -> Replace:
    """Return a function that replaces the target of a rule of iptables.rules if this machine lacks it.

    The allow list has not checked what follows a target that is never loaded, so it must always be removed. Rules whose
    target decides nothing are added to `silent`.
    """

    def refused(rule: SavedRule, name: str) -> bool:
        if name in BUILT_IN or ("ip", rule.table, name) in declared:
            return False
        if never_loaded(name):
            return True
        if name == "SET":
            written = _SET_TARGET.search(rule.bare)
            return bool(written and written[2] in lacking.sets)
        return rule.line in lacking.targets and name in _MODULE_TARGETS

    def replace(rule: SavedRule, line: str, take: Take) -> tuple[str, Kind | None, tuple[int, ...]]:
        target = target_of(line, lambda name: refused(rule, name))
        if target is None:
            return line, None, ()
        start, name = target
        if _decides_nothing(name, line[start:]):
            silent.append(rule)
            return line[:start], None, ()
        return line[:start] + (_STOP_IN_NAT if rule.table == "nat" else _STOP), Kind.TARGET, ()

    return replace


def _decides_nothing(name: str, target: str) -> bool:
    """Whether a target, with its options, leaves the first packet of a connection as it is."""
    if name == "SET":  # all that reads a set that this machine lacks is uncertain anyway
        return "--map-set" not in target
    if name in ("CT", "NOTRACK"):
        return name == "CT" and not _CHANGES_TRACKING.search(target)
    return name in _DECIDES_NOTHING


def lacking_rule(lacking: Lacking) -> Replace:
    """Return a function that replaces a rule refused in nft.rules with a test of the branch and the rule's verdict.

    This branch is tested only for packets that can match the conditions of the rule (netlab/rules/conditions.py). A
    rule without a verdict may change the packet. Its replacement drops the packet in that branch, which shows whether
    the result depends on the rule.
    """

    def replace(rule: SavedRule, line: str, take: Take) -> tuple[str, Kind | None, tuple[int, ...]]:
        if rule.line not in lacking.nft or not _NFT_DOES.search(rule.bare):
            return line, None, ()
        branch = take(False)
        verdict = _NFT_VERDICT.search(rule.bare)
        action = verdict[0].strip() if verdict else "drop"
        kind = Kind.LACKING if verdict else Kind.TARGET
        return f"{nft_test(branch)} {action}", kind, (branch,)

    return replace
