"""The allow list for iptables.rules: the lines that `iptables-save` prints. Pure.

Source: iptables-restore(8). A line is a comment, `*table`, `:CHAIN POLICY [n:n]`, `-A CHAIN …` or `COMMIT`. A rule may
only have options of its matches and targets (`extensions`). `iptables-restore` would also accept any command (`-F`,
`-X`, `-P`, …), shortened options, and `--modprobe=PROGRAM`, which makes it run the program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

from netlab.facts.dumps.extensions import (
    ADDRESS,
    ANY_TEXT,
    FLAG,
    MATCHES,
    NAME,
    OPTIONAL,
    PAIR,
    REFUSED,
    TARGETS,
    VERDICTS,
    Options,
    never_loaded,
)
from netlab.facts.dumps.words import OCTETS, refused
from netlab.facts.json_lines import Fault

LONGEST_LINE = 8000
"""Maximum length of a line in bytes.

`iptables-restore` reads lines in pieces of 10239 bytes, and would treat the rest of a longer line as a rule.
"""
TABLES = ("raw", "mangle", "nat", "filter", "security")
BUILT_IN = frozenset("PREROUTING INPUT FORWARD OUTPUT POSTROUTING".split())
_CHAIN = r"[^\s\"'\\/#;\[\]!-][^\s\"'\\/#;]{0,28}"
_DECLARED = re.compile(rf":({_CHAIN}) (ACCEPT|DROP|-)(?: \[[0-9]+:[0-9]+\])?\Z")
_RULE = re.compile(rf"(?:\[[0-9]+:[0-9]+\] )?-A ({_CHAIN})(?= |\Z)")
_WORD = re.compile(r' (?:"((?:[^"\\]|\\.)*)"|([^\s"\'\\]+))(?= |\Z)')
_NETWORK = re.compile(rf"{OCTETS}(?:/{OCTETS}|/[0-9]{{1,2}})?\Z", re.ASCII)
_LINK = re.compile(r"[\w.@+][\w.@+-]{0,14}\Z")
_PROTOCOL = re.compile(r"[a-z0-9][a-z0-9-]{0,19}\Z", re.ASCII)
_NUMERIC = re.compile(r"[0-9a-fA-F.:/-]+\Z", re.ASCII)
_PLAIN_MATCH = (
    r' -m (?:comment --comment (?:"[^"\\]*"|[A-Za-z0-9]+)|(?:tcp|udp)(?:(?: !)? --[sd]port [0-9:]{1,11})*'
    r"|(?:conntrack --ctstate|state --state) [A-Z,]+|multiport --[sd]?ports [0-9:,]+"
    r"|mark --mark [0-9a-fx/]+|statistic --mode random --probability [0-9.]+)"
)
_PLAIN_TARGET = (
    "DNAT --to-destination [0-9][0-9.:-]*|MARK --set-xmark [0-9a-fx/]+|REJECT --reject-with icmp-[a-z-]+|MASQUERADE"
)
_PLAIN = re.compile(
    rf"-A ({_CHAIN})(?:(?: !)? -s {OCTETS}/[0-9]{{1,2}})?(?:(?: !)? -d {OCTETS}/[0-9]{{1,2}})?"
    r"(?:(?: !)? -i [A-Za-z0-9]{1,15})?(?:(?: !)? -o [A-Za-z0-9]{1,15})?"
    r"(?: -p (?:icmp|(?:tcp|udp)(?:(?: !)? --[sd]port [0-9:]{1,11})*))?"
    rf"(?:{_PLAIN_MATCH})* -j (?:(?:{_PLAIN_TARGET})|({_CHAIN}))\Z",
    re.ASCII,
)
"""Matches most rules of a large dump, so that these rules need no further check."""
_TARGET = re.compile(r" -j (?=(\S+))")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_FILE_NAME = re.compile(r"[\w:@+][\w.:@+,-]{0,63}\Z")
_SHORT = {"-s": _NETWORK, "-d": _NETWORK, "-i": _LINK, "-o": _LINK, "-p": _PROTOCOL}
NOT_SAVED = "`iptables-save` prints comments, `*table`, `:CHAIN POLICY [n:n]`, `-A CHAIN …` and COMMIT only"


class _Bad(Exception):
    """A line is not one that `iptables-save` prints. The message says why."""


def target_of(line: str, wanted: Callable[[str], bool]) -> tuple[int, str] | None:
    """Return (offset, name) of the first `-j NAME` outside quoted strings whose name is `wanted`, or None."""
    masked = _QUOTED.sub(lambda quoted: '"' * len(quoted[0]), line) if '"' in line else line
    return next(((match.start(), match[1]) for match in _TARGET.finditer(masked) if wanted(match[1])), None)


def target_never_loaded(line: str, chains: Collection[str]) -> tuple[int, str] | None:
    """Return (offset, name) of the target of a rule if the rule is loaded without it and all that follows it, or None.

    `chains` are the chains of the rule's table. What follows such a target is not checked, so it must reach no tool.
    """
    return target_of(line, lambda name: name not in chains and never_loaded(name))


def faults(text: str, *, whole: bool = False) -> Iterator[Fault]:
    """Yield a fault for every line that `iptables-save` never prints.

    `whole` also yields the rules with a target that is never loaded.
    """
    lines = text.split("\n")
    table, opened, seen = "", 0, set[str]()
    chains: set[str] = set()
    for number, line in enumerate(lines, start=1):
        line = line.rstrip(" ")
        if not line or line.startswith("#"):
            continue
        try:
            if len(line.encode()) > LONGEST_LINE:
                raise _Bad(f"is longer than {LONGEST_LINE} bytes")
            if line.startswith("*"):
                table, opened = _opened(line, table, seen), number
                chains = _declared(lines, number)
            elif not table:
                raise _Bad(f"no table is open here; {NOT_SAVED}")
            elif line == "COMMIT":
                table = ""
            elif line.startswith(":"):
                if not _DECLARED.match(line):
                    raise _Bad("is not `:CHAIN POLICY [packets:bytes]`")
            else:
                _check_rule(line, chains, whole=whole)
        except _Bad as bad:
            yield refused(number, line, str(bad))
    if table:
        yield refused(opened, lines[opened - 1], "the table has no COMMIT: the dump is cut off")


def _opened(line: str, table: str, seen: set[str]) -> str:
    name = line[1:]
    if table:
        raise _Bad(f"the previous table, {table}, has no COMMIT")
    if name not in TABLES:
        raise _Bad(f"{name} is not a table of iptables: {', '.join(TABLES)}")
    if name in seen:
        raise _Bad(f"table {name} is listed twice")
    seen.add(name)
    return name


def _declared(lines: list[str], start: int) -> set[str]:
    """Return the chains of the table that begins on line `start`. `iptables-save` lists them before the rules."""
    chains = set(BUILT_IN)
    for line in lines[start:]:
        if line.startswith("*") or line.startswith("COMMIT"):
            break
        if match := _DECLARED.match(line.rstrip(" ")):
            chains.add(match[1])
    return chains


def _check_rule(line: str, chains: set[str], *, whole: bool) -> None:
    plain = _PLAIN.match(line)
    if plain and plain[1] in chains and (plain[2] is None or plain[2] in chains or plain[2] in VERDICTS):
        return
    rule = _RULE.match(line)
    if not rule:
        raise _Bad(NOT_SAVED)
    if rule[1] not in chains:
        raise _Bad(f"chain {rule[1]} is not listed in its table")
    target = None if whole else target_never_loaded(line, chains)
    if target:
        line = line[: target[0]]
    words, at = [], rule.end()
    while at < len(line):
        word = _WORD.match(line, at)
        if not word:
            raise _Bad("has quotes, backslashes or blanks where `iptables-save` prints none")
        words.append(word[2] if word[1] is None else word[1])
        at = word.end()
    _check_words(words, chains)


def _check_words(words: list[str], chains: set[str]) -> None:
    known: Options = {}
    at = 0
    while at < len(words):
        word = words[at]
        value = words[at + 1] if at + 1 < len(words) else ""
        if (word == "!" and value.startswith("-")) or word == "-f":
            at += 1
        elif word in _SHORT:
            _valued(word, value, _SHORT[word])
            if word == "-p":
                known = known | MATCHES.get(value, {})
            at += 2
        elif word in ("-m", "-j", "-g"):
            known = known | _extension(word, value, chains)
            at += 2
        elif word in known:
            at += _option(word, known[word], words[at + 1 : at + 3])
        elif word.startswith("-"):
            raise _Bad(REFUSED.get(word) or f"`{word}` is not an option that `iptables-save` prints here")
        else:
            raise _Bad(f"`{word}` does not belong to any option")


def _valued(option: str, value: str, pattern: re.Pattern[str]) -> None:
    if not pattern.match(value):
        wrong = f"{value} is not a value that `iptables-save` prints after `{option}`"
        raise _Bad(wrong if value else f"`{option}` has no value")


def _extension(option: str, name: str, chains: set[str]) -> Options:
    if name in REFUSED:
        raise _Bad(REFUSED[name])
    if option == "-m":
        if name not in MATCHES:
            raise _Bad(f"the match {name} is not known" if name else "`-m` has no value")
        return MATCHES[name]
    if option == "-j" and name in TARGETS:
        return TARGETS[name]
    if name not in chains and not (option == "-j" and name in VERDICTS):
        wrong = f"{name} is neither a known target nor a chain of this table"
        raise _Bad(wrong if name else f"`{option}` has no value")
    return {}


def _option(option: str, kind: str, following: list[str]) -> int:
    """Check the words that follow an option. Return the number of words of the option, including its name."""
    if kind == FLAG:
        return 1
    if kind == OPTIONAL:
        return 2 if following and not following[0].startswith(("-", "!")) else 1
    count = 2 if kind == PAIR else 1
    values = following[:count]
    if len(values) < count:
        raise _Bad(f"`{option}` has no value")
    for value in values:
        if kind == NAME:
            _valued(option, value, _FILE_NAME)
        elif kind == ADDRESS:
            _valued(option, value, _NUMERIC)
        elif kind != ANY_TEXT and (not value or value.startswith("-")):
            raise _Bad(f"{value} is not a value of `{option}`" if value else f"`{option}` has no value")
    return 1 + count
