"""The meaning of the output of `nft list ruleset`. Pure. nft(8)."""

from __future__ import annotations

import re

_STRING_OR_COMMENT = re.compile(r'"[^"\n]*"|#[^\n]*')
_HIDDEN = str.maketrans({special: chr(1 + number) for number, special in enumerate("{},;# \t")})
"""Characters with a meaning in nft -> control characters, which no dump contains, for the inside of strings."""
_SHOWN = {number: chr(special) for special, number in ((key, ord(value)) for key, value in _HIDDEN.items())}
_MANAGED = "managed by iptables-nft"
_DURATION = r"\d+(?:ms|[smhdw])(?:\d+(?:ms|[smhdw]))*"
_VARYING = re.compile(
    rf"\s+expires {_DURATION}"
    r"|(?<=\bcounter) packets \d+ bytes \d+"
    r"|^[ \t]*packets \d+ bytes \d+[ \t]*;?[ \t]*$"  # a named counter
    r"|(?<=\w) used \d+ \w+"  # a quota
    rf"|(?<=\blast) (?:used )?(?:never|{_DURATION}(?: ago)?)",
    re.MULTILINE,
)
_LIST = re.compile(r"\{[ \t]*([^{};\s][^{};]*)\}")
"""A list of elements. The brace of a chain or another block is the last character of its line."""


def meaning(text: str) -> bytes:
    """Return the text without counters, the time that elements have left, comments of nft, and the order in sets.

    Tables and chains keep their order: of two base chains with the same priority, the newer one is asked first.
    """
    text = _LIST.sub(_sorted, _VARYING.sub("", hidden(text)))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line).encode()


def hidden(text: str) -> str:
    """Return the text without comments, and with other characters for those in strings that have a meaning in nft.

    Lines keep their numbers.
    """
    return _STRING_OR_COMMENT.sub(_hidden, text)


def shown(text: str) -> str:
    """Return a part of a `hidden` text with its strings as they were."""
    return text.translate(_SHOWN)


def _hidden(found: re.Match[str]) -> str:
    if found[0].startswith('"'):
        return found[0].translate(_HIDDEN)
    return _MANAGED if _MANAGED in found[0] else ""


def _sorted(found: re.Match[str]) -> str:
    items = (" ".join(item.split()) for item in found[1].split(","))
    return "{ " + ", ".join(sorted(item for item in items if item)) + " }"
