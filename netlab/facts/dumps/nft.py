"""The allow list for nft.rules: tables of chains, sets, maps, flowtables and objects. Pure.

Source: nft(8). `nft -f` also accepts variables, commands (`flush ruleset`, `delete`, `add rule`), and `include`, which
reads files and shows their text in error messages. Words are separated as in nft's own scanner. Text that could be
split in two ways is refused: a string over several lines, a backslash, a `$`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from netlab.facts.dumps.words import refused
from netlab.facts.json_lines import Fault

LONGEST_LINE = 1 << 20
DEEPEST = 16
OWN_TABLE = "reachq_bench"
"""The table that the bench adds to every router (netlab/live/bench.nft).

Facts with a table of this name are refused, because it could change results.
"""
_TOKEN = re.compile(
    r'[ \t]+|#[^\n]*|(?P<string>"[^"\n]*")|(?P<word>[A-Za-z_.0-9][A-Za-z0-9_./-]*)'
    r"|(?P<sign>\n|[{};])|(?P<operator>[():,=!<>&|^~*+@%/?\[\]-]+)"
)
_FAMILIES = frozenset("ip ip6 inet arp bridge netdev".split())
_NAME = re.compile(r"[A-Za-z_.][A-Za-z0-9_.-]*\Z", re.ASCII)
_NEVER = frozenset("include define redefine undefine".split())
_COMMANDS = _NEVER | frozenset(
    "add create insert delete destroy flush list rename replace reset import export monitor describe table chain".split()
)
_STATEMENTS = {("add", "@"), ("delete", "@"), ("reset", "tcp")}
"""Commands that are also statements in a rule (on sets and TCP options), each with the word that follows it then."""
_OBJECTS = frozenset("set map meter flowtable counter quota limit synproxy secmark tunnel".split())
_CT_OBJECTS = frozenset("helper timeout expectation".split())
TOP, TABLE, CHAIN, OBJECT, BRACES = "top", "table", "chain", "object", "braces"
NOT_LISTED = "`nft list ruleset` prints tables only; save its output, not the file that a router loads"


class _Bad(Exception):
    """The text is not what `nft list ruleset` prints. The message says why."""


def _command(verb: str) -> _Bad:
    return _Bad(f"`{verb}` is a command; `nft list ruleset` never prints it")


@dataclass
class _Reader:
    """The state of the check: the open blocks, and the words of the current statement."""

    blocks: list[tuple[str, int]] = field(default_factory=lambda: [(TOP, 0)])
    words: list[str] = field(default_factory=list)
    last: str = ""

    def open(self, line: int) -> None:
        """Handle a `{`."""
        where, words = self.blocks[-1][0], self.words
        if where == TOP:
            self._table()
            self.blocks.append((TABLE, line))
        elif where == TABLE:
            self.blocks.append((self._part(), line))
        else:
            if len(self.blocks) > DEEPEST:
                raise _Bad(f"has braces nested more than {DEEPEST} deep")
            if where != BRACES and not words:
                raise _Bad("has a `{` where a statement begins")
            self.blocks.append((BRACES, line))
            return
        self.words = []

    def close(self) -> None:
        """Handle a `}`."""
        where, _ = self.blocks.pop()
        if not self.blocks:
            raise _Bad("closes a block that is not open")
        if where == BRACES:
            return  # the statement continues after it
        self.end(where)

    def end(self, where: str) -> None:
        """Handle the end of a statement: a `;`, the end of its line, or the end of its block."""
        words = self.words
        if words and where == TOP:
            raise _Bad(NOT_LISTED)
        if words and where == TABLE and words[0] not in ("flags", "comment"):
            raise _Bad(f"`{words[0]}` is not something that `nft list ruleset` prints in a table")
        if len(words) == 1 and words[0] in _COMMANDS:
            raise _command(words[0])
        self.words = []

    def word(self, text: str) -> None:
        """Handle a word, a number, a string or an operator."""
        where, words = self.blocks[-1][0], self.words
        if text in _NEVER or (text[0].isdigit() and any(word in text for word in _NEVER)):
            raise _Bad(f"`{text}` reads or defines something; `nft list ruleset` never prints it")
        if text == "audit" and self.last == "level":
            raise _Bad("writes to the audit log of this machine; remove `level audit`")
        self.last = text
        if where == BRACES:
            return
        begun = words[0] if len(words) == 1 and where in (CHAIN, OBJECT) else ""
        if begun in _COMMANDS and (begun, text) not in _STATEMENTS:
            raise _command(words[0])
        words.append(text)

    def _table(self) -> None:
        words = self.words
        if not words or words[0] != "table":
            raise _Bad(NOT_LISTED)
        family = words[1] if len(words) == 3 else "ip"
        if len(words) not in (2, 3) or family not in _FAMILIES or not _NAME.match(words[-1]):
            raise _Bad("is not `table FAMILY NAME {`")
        if words[-1] == OWN_TABLE:
            raise _Bad(f"the bench has a table {OWN_TABLE} of its own: dump a router, not a bench")

    def _part(self) -> str:
        words = self.words
        if len(words) == 2 and words[0] == "chain":
            kind = CHAIN
        elif (len(words) == 2 and words[0] in _OBJECTS) or (
            len(words) == 3 and words[0] == "ct" and words[1] in _CT_OBJECTS
        ):
            kind = OBJECT
        else:
            raise _Bad("is not a chain, set, map, flowtable or object as `nft list ruleset` prints it")
        if not _NAME.match(words[-1]):
            raise _Bad(f"{words[-1]} is not a name that nft takes")
        return kind


def faults(text: str) -> Iterator[Fault]:
    """Yield the first place where the text is not what `nft list ruleset` prints. The text after it is not checked."""
    reader, at, line = _Reader(), 0, 1
    lines = text.split("\n")
    for number, content in enumerate(lines, start=1):
        if len(content) > LONGEST_LINE:
            yield Fault(number, f"is a line longer than {LONGEST_LINE >> 20} MiB")
            return
    try:
        while at < len(text):
            token = _TOKEN.match(text, at)
            if not token:
                raise _Bad(f"has {_what(text[at])} where `nft list ruleset` prints none")
            at = token.end()
            sign = token["sign"]
            if sign:
                _sign(reader, sign, line)
                line += sign == "\n"
            elif token.lastgroup:
                reader.word(token[0])
        _sign(reader, "\n", line)
    except _Bad as bad:
        yield refused(line, lines[line - 1], str(bad))
        return
    if len(reader.blocks) > 1:
        _, opened = reader.blocks[-1]
        yield refused(opened, lines[opened - 1], "the block is not closed: the dump is cut off")


def _sign(reader: _Reader, sign: str, line: int) -> None:
    if sign == "{":
        reader.open(line)
    elif sign == "}":
        reader.close()
    elif reader.blocks[-1][0] != BRACES:
        reader.end(reader.blocks[-1][0])


def _what(character: str) -> str:
    return "a string that does not end on its line" if character == '"' else f"`{character}`"
