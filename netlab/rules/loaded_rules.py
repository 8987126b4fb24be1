"""The rules that the bench loads for a router: all of them, with the uncertain parts replaced. Pure.

Matches that count packets or decide by chance (netlab/rules/counting_matches.py), and matches that this machine lacks
(netlab/rules/lacking_parts.py), test the branch number in the probe's cookie instead. In branch 0 a match that counts or
decides by chance decides as for the first packet after a reset; all real traffic is in branch 0. In branch N the match
with number N has its other outcome. Rules keep their number and line, since only the loaded text changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from netlab.facts.reader import RouterFacts
from netlab.rules.counting_matches import IPTABLES_COUNTS, NFT_COUNTS, iptables_rule, nft_rule
from netlab.rules.equal_priorities import LEGACY, BaseChain, base_chains, ties
from netlab.rules.lacking_parts import lacking_match, lacking_rule, lacking_target, never_loads_all
from netlab.rules.native_tables import loadable
from netlab.rules.rule_replacement import BranchNumbers, replaced
from netlab.rules.saved_firewall import Chain, SavedRule, read_iptables, read_nft
from netlab.rules.uncertain import NOTHING, Lacking, Uncertain


@dataclass(frozen=True)
class LoadedRules:
    """The rules to load for one router, as text, and the rules in which a match was replaced."""

    iptables: str
    nft: str
    rules: Mapping[tuple[Chain, int], Uncertain]
    """(chain, number of the rule in it) -> the rule."""
    silent: tuple[SavedRule, ...] = ()
    """Rules that are loaded without their target. It decides nothing."""
    orders: Mapping[tuple[Chain, int], Uncertain] = field(default_factory=dict)
    """(chain, number of the rule in it) -> the order of chains on which this NAT rule depends."""
    iptables_legacy: str = ""
    """iptables-legacy.rules, when it is loaded beside iptables.rules."""


def loaded_rules(router: RouterFacts, lacking: Lacking = NOTHING) -> LoadedRules:
    """Replace the uncertain matches in the rules that the bench loads for `router`.

    `lacking` has the rules that this machine has refused. The result is cached: do not change it.
    """
    return _loaded_rules(
        router.iptables,
        router.file(router.iptables_file),
        loadable(router).text,
        router.file("nft.rules"),
        router.iptables_legacy,
        base_chains(router),
        lacking,
    )


@lru_cache(maxsize=1024)
def _loaded_rules(
    iptables: str,
    iptables_file: str,
    nft: str,
    nft_file: str,
    legacy: str,
    chains: tuple[BaseChain, ...],
    lacking: Lacking,
) -> LoadedRules:
    tied = ties(chains)
    numbers = BranchNumbers(taken=len(tied.numbers))
    found: dict[tuple[Chain, int], Uncertain] = {}
    orders: dict[tuple[Chain, int], Uncertain] = {}
    saved = iptables
    if tied.numbers:
        firewall = read_iptables(iptables, iptables_file)
        iptables = replaced(iptables, firewall.rules, numbers, {}, tied.replace(firewall, orders))
        if legacy:
            firewall = read_iptables(legacy)
            legacy = replaced(legacy, firewall.rules, numbers, {}, tied.replace(firewall, {}, LEGACY))
        firewall = read_nft(nft, nft_file)
        nft = replaced(nft, firewall.rules, numbers, {}, tied.replace(firewall, orders))
    if IPTABLES_COUNTS.search(saved):
        counting = (rule for rule in read_iptables(saved, iptables_file).rules if IPTABLES_COUNTS.search(rule.text))
        iptables = replaced(iptables, counting, numbers, found, iptables_rule)
    if lacking.iptables or lacking.sets:
        rules = read_iptables(saved, iptables_file).rules
        iptables = replaced(iptables, rules, numbers, found, lacking_match(lacking))
    silent: list[SavedRule] = []
    if lacking.targets or lacking.sets or never_loads_all(saved):
        firewall = read_iptables(saved, iptables_file)
        iptables = replaced(
            iptables, firewall.rules, numbers, found, lacking_target(lacking, firewall.declared, silent)
        )
    if lacking.nft or NFT_COUNTS.search(nft):
        firewall = read_nft(nft, nft_file)
        nft = replaced(nft, firewall.rules, numbers, found, nft_rule(nft))
        nft = replaced(nft, firewall.rules, numbers, found, lacking_rule(lacking))
    return LoadedRules(iptables, nft, found, tuple(silent), orders, legacy)
