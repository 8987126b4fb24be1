"""Rewrites `ipset save` text so that no entry expires while the bench runs, and splits off long lists. Pure. ipset(8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

SOON_S = 600
"""An entry with less time left than this when the facts were captured is mentioned in a caveat."""
_CREATE = re.compile(r"create (\S+) .*\btimeout \d+")
_ADD = re.compile(r"add (\S+) ")
_STRING = re.compile(r'"[^"]*"')
_TIMEOUT = re.compile(r" timeout (\d+)\b")
LONG_LIST = 10_000
"""A set with more entries than this is loaded without `ipset` if all its entries are plain."""
_CREATE_PLAIN = re.compile(r"^create (\S+) hash:(?:ip|net) [^\n]*\n", re.MULTILINE)


@dataclass(frozen=True)
class Rewritten:
    """The text to load.

    `ages`: set -> the caveat for rules that use the set, because some entries were about to expire.
    """

    text: str
    ages: Mapping[str, str] = field(default_factory=dict)


def for_this_machine(text: str) -> Rewritten:
    """Set `timeout 0` (never expires) on every entry of a set with timeouts.

    The sets keep their default timeout, because `-j SET` requires a set with timeouts.
    """
    if " timeout " not in text:
        return Rewritten(text)
    timed, soon, lines = set[str](), dict[str, int](), list[str]()
    for line in text.split("\n"):
        if created := _CREATE.match(line):
            timed.add(created[1])
        elif (added := _ADD.match(line)) and added[1] in timed:
            left = _TIMEOUT.search(_STRING.sub(lambda quoted: "x" * len(quoted[0]), line))
            if left:
                line = f"{line[: left.start()]} timeout 0{line[left.end() :]}"
                if 0 < int(left[1]) < SOON_S:
                    soon[added[1]] = soon.get(added[1], 0) + 1
            else:
                line = f"{line.rstrip()} timeout 0"
        lines.append(line)
    return Rewritten("\n".join(lines), {name: about_to_expire(f"set {name}", count) for name, count in soon.items()})


def long_lists(text: str) -> tuple[str, dict[str, list[str]]]:
    """Split off the long lists of entries that are only an IPv4 address or subnet.

    Return the other lines, and set -> entries. `text` has passed the allow list (netlab/facts/dumps/ipset.py).
    """
    pieces, lists, at = list[str](), dict[str, list[str]](), 0
    if text.count("\n") > LONG_LIST:
        while created := _CREATE_PLAIN.search(text, at):
            name, start = created[1], created.end()
            other = re.compile(rf"^(?!add {re.escape(name)} [0-9./]+$)", re.MULTILINE).search(text, start)
            end = other.start() if other else len(text)
            entries = text[start:end].replace(f"add {name} ", "").split()
            if len(entries) > LONG_LIST:
                lists[name] = entries
            pieces.append(text[at : start if name in lists else end])
            at = end
    return "".join([*pieces, text[at:]]), lists


def about_to_expire(name: str, count: int) -> str:
    """Return the caveat for a set with `count` elements that were about to expire."""
    some = f"{count} elements of {name} were" if count > 1 else f"an element of {name} was"
    return f"{some} to expire within {SOON_S // 60} minutes of the capture; the test counts them as present"
