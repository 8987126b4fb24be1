"""Escapes control characters in everything that is printed to a terminal. Pure except `guard`.

Rules, names, reasons and messages of tools come from other machines and users. In a terminal, an escape sequence in
such text can overwrite what was printed, set the title or type input for the user. So can a C1 control (U+0080 to
U+009F). A bidirectional override shows the words of a rule in another order. Each such character is printed as its
Python escape: `\\x1b`, `\\u202e`.

Our own sequences are not escaped: `own` marks them with a random number of this process, which foreign text cannot
contain.
"""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Iterable
from typing import Any

_MARK = str(10**9 + secrets.randbelow(9 * 10**9))
_UNSAFE = "\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""Characters to escape: those that move the cursor (except tab and line feed) or reorder the text, and lone surrogates.
"""
_SEQUENCE = re.compile(rf"\x1b\[{_MARK};([0-9;]*[mK])|[{_UNSAFE}]")
_IN_A_LINE = re.compile(rf"[{_UNSAFE}\n]")

CLEAR_LINE = f"\x1b[{_MARK};K"
"""Moves the cursor to the first column and clears the line."""


def own(sequence: str) -> str:
    """Mark our own colours and styles (SGR), such as `\\x1b[31m`, so that they are not escaped."""
    return sequence.replace("\x1b[", f"\x1b[{_MARK};")


def visible(text: str) -> str:
    """Escape `text` for a terminal. Line feeds and marked sequences are kept."""
    return _SEQUENCE.sub(_shown, text)


def in_a_line(text: str) -> str:
    """Escape all control characters in `text`, including line feeds and marked sequences."""
    return _IN_A_LINE.sub(_escape, text)


def _shown(match: re.Match[str]) -> str:
    if match[1] is None:
        return _escape(match)
    return "\r\x1b[K" if match[1] == "K" else f"\x1b[{match[1]}"


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


class Screen:
    """A text stream that escapes control characters. Everything else is passed to the underlying stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"
        if self.encoding.lower() in ("ascii", "us-ascii", "ansi_x3.4-1968"):
            # click writes past a stream with this encoding.
            stream.reconfigure(errors="backslashreplace")
            self.encoding = "utf-8"

    def write(self, text: str) -> int:
        """Write `text` with control characters escaped. Return the length of the original text, as other streams do."""
        self._stream.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard() -> None:
    """Send all further output of this process through a Screen, including tracebacks and logs."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Screen):
            setattr(sys, name, Screen(stream))
