"""Parses `iptables-save` text and `nft list ruleset` text into rules, policies, hooks and jumps. Pure.

Both formats yield the same types. The text has passed the allow lists of netlab/facts/dumps, so the parser reports no
errors: it skips everything that is not a rule. Sources: iptables-save(8), nft(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

Chain = tuple[str, str, str]
"""(family, table, chain)."""

HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
"""Names of the hooks, indexed by their number (NF_INET_*)."""

_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_IPTABLES_CHAIN = re.compile(r":(\S+) ([A-Z]+\b|-)")
_IPTABLES_RULE = re.compile(r"(?:\[\d+:\d+\] )?(-A (\S+).*)")
_IPTABLES_JUMP = re.compile(r" -[jg] (\S+)")
_NFT_TOKEN = re.compile(r'"[^"\n]*"|#[^\n]*|[\n{};]|[^"#\n{};]+|"')
_NFT_MANAGED = re.compile(r"#.*managed by iptables-nft")
_NFT_HOOK = re.compile(r"type\s+\w+\s+hook\s+(\w+)")
_NFT_JUMP = re.compile(r"\b(?:jump|goto) ([^\s,;}]+)")
NFT_CHAIN_PROPERTIES = ("type", "policy", "flags", "comment")


@dataclass(frozen=True, slots=True)
class SavedRule:
    """One rule, or a chain's policy, as the router's own tools print it.

    `number` is the rule's position in its chain, from 1; it is 0 for a policy.
    """

    family: str
    table: str
    chain: str
    number: int
    text: str
    """The text without counters before it and without a comment at its end.

    A rule of several lines is joined to one line.
    """
    file: str
    line: int
    """Line number in the file, from 1; the first line of a rule of several lines."""
    jumps: frozenset[str] = frozenset()
    """Names after `jump`, `goto`, `-j` and `-g`: chains of the same table, and for iptables also targets."""

    @property
    def key(self) -> Chain:
        """The chain that contains the rule."""
        return self.family, self.table, self.chain

    @property
    def place(self) -> str:
        """File and line, such as `dc-fw/iptables.rules:31`."""
        return f"{self.file}:{self.line}"

    @property
    def bare(self) -> str:
        """The text with quoted strings that contain white space (comments, log prefixes) emptied."""
        return bare(self.text)


@dataclass(frozen=True)
class Block:
    """A table, or a block inside a table, in `nft list ruleset` text.

    `start` and `end` are character offsets in the text.
    """

    kind: str
    """"table", "chain", "flowtable", "set", "map" …"""
    family: str
    table: str
    name: str
    line: int
    start: int
    end: int
    managed: bool = False
    """Whether nft marked the table as managed by iptables-nft."""


@dataclass
class SavedFirewall:
    """The contents of one saved firewall. Rules are in the order of the text."""

    rules: list[SavedRule] = field(default_factory=list)
    policies: dict[Chain, SavedRule] = field(default_factory=dict)
    declared: set[Chain] = field(default_factory=set)
    """Chains that the text declares, with or without rules (iptables only)."""
    hooks: dict[Chain, str] = field(default_factory=dict)
    """Base chain -> hook, in lower case as nft prints it.

    For iptables, each table gets the five built-in chains, even those that it does not have.
    """
    map_jumps: set[Chain] = field(default_factory=set)
    """Chains that are jump targets in an element of a named map (nft only)."""
    blocks: list[Block] = field(default_factory=list)
    """Tables and the blocks inside them (nft only). A block comes before the block that contains it."""
    _counts: dict[Chain, int] = field(default_factory=dict)

    def chains(self) -> dict[Chain, list[SavedRule]]:
        """Return the rules of each chain that has any."""
        rules: dict[Chain, list[SavedRule]] = {}
        for rule in self.rules:
            rules.setdefault(rule.key, []).append(rule)
        return rules

    def add(self, chain: Chain, text: str, file: str, line: int, jumps: frozenset[str]) -> None:
        """Append a rule to its chain."""
        self._counts[chain] = self._counts.get(chain, 0) + 1
        self.rules.append(SavedRule(*chain, self._counts[chain], text, file, line, jumps))


def bare(text: str) -> str:
    """Return the text with quoted strings that contain white space emptied."""
    if '"' not in text:
        return text
    return _QUOTED.sub(lambda quoted: '""' if re.search(r"\s", quoted[0]) else quoted[0], text)


@lru_cache(maxsize=1024)
def read_iptables(text: str, file: str = "iptables.rules") -> SavedFirewall:
    """Parse `iptables-save` text, with or without counters. `file` is the file name to store in the rules.

    The result is cached and shared by all callers that pass the same text: do not change it.
    """
    known: dict[tuple[str, ...], frozenset[str]] = {}
    firewall, table = SavedFirewall(), ""
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if line.startswith("*"):
            table = line[1:]
            firewall.hooks |= {("ip", table, hook.upper()): hook for hook in HOOKS}
        elif chain := _IPTABLES_CHAIN.match(line):
            firewall.declared.add(("ip", table, chain[1]))
            if chain[2] != "-":
                firewall.policies["ip", table, chain[1]] = SavedRule("ip", table, chain[1], 0, line, file, number)
        elif rule := _IPTABLES_RULE.match(line):
            targets = tuple(_IPTABLES_JUMP.findall(bare(rule[1])))
            jumps = known.setdefault(targets, frozenset(targets))
            firewall.add(("ip", table, rule[2]), rule[1], file, number, jumps)
    return firewall


def read_nft(text: str, file: str = "nft.rules") -> SavedFirewall:
    """Parse `nft list ruleset` text. `file` is the file name to store in the rules."""
    return _NftReader(text, file).read()


@dataclass
class _Statement:
    """The words read since the end of the last statement, and the position of the first of them."""

    pieces: list[str] = field(default_factory=list)
    line: int = 0
    start: int = 0
    depth: int = 0
    """Number of open braces that belong to the statement, such as those of an anonymous set."""

    @property
    def text(self) -> str:
        lines = (line.strip() for line in "".join(self.pieces).split("\n"))
        return " ".join(line for line in lines if line)


@dataclass
class _Open:
    """A block that has not been closed: its kind ("table", "chain", "map", …), its name, and its position."""

    kind: str
    name: str
    line: int
    start: int


class _NftReader:
    """Splits the text into blocks and statements. A statement ends at the end of its line, at a `;`, or with its block."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._firewall = SavedFirewall()
        self._open: list[_Open] = []
        self._family = self._table = ""
        self._managed = False
        self._statement = _Statement()
        self._base: _Statement | None = None
        """The statement `type … hook …;` of the current chain, while its policy may follow on the same line."""

    def read(self) -> SavedFirewall:
        line = 1
        for token in _NFT_TOKEN.finditer(self._text):
            word = token[0]
            if word.startswith("#"):
                self._managed = self._managed or (not self._open and bool(_NFT_MANAGED.match(word)))
            elif word == "{":
                self._opening(token, line)
            elif word == "}":
                self._closing(token)
            elif word == "\n":
                self._new_line()
                line += 1
            elif word == ";" and not self._statement.depth:
                self._end_statement(ended_by=";")
            else:
                self._append(token, line)
        while self._open:
            self._close_block(len(self._text))
        return self._firewall

    def _append(self, token: re.Match[str], line: int) -> None:
        statement = self._statement
        if not statement.line and token[0].strip():
            statement.line, statement.start = line, token.start()
        statement.pieces.append(token[0])

    def _opening(self, token: re.Match[str], line: int) -> None:
        statement = self._statement
        words = statement.text.split() if len(self._open) < 2 else []
        if not words:  # a brace of the statement itself
            self._append(token, line)
            statement.depth += 1
            return
        if not self._open:
            self._family, self._table = (words[1] if len(words) > 2 else "ip"), words[-1]
        self._open.append(_Open(words[0], words[-1], statement.line, statement.start))
        self._statement = _Statement()

    def _closing(self, token: re.Match[str]) -> None:
        if self._statement.depth:
            self._statement.pieces.append(token[0])
            self._statement.depth -= 1
        elif self._open:
            self._close_block(token.end())

    def _close_block(self, end: int) -> None:
        self._end_statement()
        block = self._open.pop()
        managed = block.kind == "table" and self._managed
        self._firewall.blocks.append(
            Block(block.kind, self._family, self._table, block.name, block.line, block.start, end, managed)
        )
        if block.kind == "table":
            self._managed = False

    def _new_line(self) -> None:
        if self._statement.depth:
            self._statement.pieces.append("\n")
        else:
            self._end_statement()
            self._base = None

    def _end_statement(self, ended_by: str = "") -> None:
        statement, self._statement = self._statement, _Statement()
        text = statement.text
        if not text or len(self._open) < 2:
            return
        block = self._open[-1]
        chain = (self._family, self._table, block.name)
        if block.kind == "map":
            self._firewall.map_jumps |= {(self._family, self._table, name) for name in _jumps(text)}
        if block.kind != "chain":
            return
        if hook := _NFT_HOOK.match(text):
            self._firewall.hooks[chain] = hook[1]
            self._base = statement
        elif text.split()[0] == "policy":
            if self._base:
                text = f"{self._base.text}; {text}"
            self._firewall.policies[chain] = SavedRule(*chain, 0, text + ended_by, self._file, statement.line)
        elif text.split()[0] not in NFT_CHAIN_PROPERTIES:
            self._firewall.add(chain, text, self._file, statement.line, frozenset(_jumps(text)))


def _jumps(text: str) -> Iterator[str]:
    yield from _NFT_JUMP.findall(bare(text))
