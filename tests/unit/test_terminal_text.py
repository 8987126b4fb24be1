"""Control characters in the output are escaped; our own sequences pass."""

from __future__ import annotations

import io
import sys
import unicodedata

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.console import columns, paint, style
from app.launch.lines import OutputLines
from netlab import terminal
from netlab.errors import Problem
from netlab.terminal import CLEAR_LINE, Screen, in_a_line, visible

HOSTILE = {
    "\x1b[2J": r"\x1b[2J",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x1b[8;32m": r"\x1b[8;32m",
    "\x1b[1234567890;2J": r"\x1b[1234567890;2J",
    "\x9b2J": r"\x9b2J",
    "\x85": r"\x85",
    "\x7f": r"\x7f",
    "\x00": r"\x00",
    "\x08\x08": r"\x08\x08",
    "over\rwritten": r"over\rwritten",
    "\u202edrop\u202c": r"\u202edrop\u202c",
    "\u2066\u2067\u2068\u2069": r"\u2066\u2067\u2068\u2069",
    "\u200e\u200f\u061c": r"\u200e\u200f\u061c",
    "\u2028": r"\u2028",
    "\ud800": r"\ud800",
}
LEGAL = "two\nlines,\ta tab, ä →  漢字 👍"


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_what_is_not_ours_is_shown(text: str) -> None:
    assert visible(text) == in_a_line(text) == HOSTILE[text]
    assert visible(style(text, fg="red")) == f"\x1b[31m{HOSTILE[text]}\x1b[0m"
    assert str(Problem(text, 3, text)) == f"{HOSTILE[text]}:3: {HOSTILE[text]}"


def test_what_is_ours_passes() -> None:
    assert visible(LEGAL) == LEGAL
    assert visible(paint("NO")) == click.style("NO", fg="red")
    assert visible(style("x", bold=True, fg="green")) == click.style("x", bold=True, fg="green")
    assert visible(CLEAR_LINE) == "\r\x1b[K"
    assert columns([[paint("NO"), "x"], ["long text", "y"]]).splitlines()[0].endswith(" " * 7 + "  x")
    assert in_a_line("a\nb") == r"a\nb"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    left = visible(text)
    assert {unicodedata.category(c) for c in left if c not in "\n\t"}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert {unicodedata.bidirectional(c) for c in left}.isdisjoint("LRE RLE LRO RLO PDF LRI RLI FSI PDI".split())
    assert visible(left) == left


def test_a_stream_is_guarded_and_is_the_same_in_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    below = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", below)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    terminal.guard()
    first = sys.stdout
    terminal.guard()
    assert sys.stdout is first
    print("\x1b[2J", "→", file=sys.stdout)
    click.echo("\u202e →")  # click writes past a stream that claims to be ASCII
    sys.stdout.writelines(["\x9b\n"])
    sys.stdout.flush()
    assert written.getvalue() == b"\\x1b[2J \\u2192\n\\u202e \\u2192\n\\x9b\n"
    assert sys.stdout.isatty() is False
    assert sys.stdout.write("\x1b") == 1


def test_lines_of_the_processes_of_reachq_up() -> None:
    out = io.StringIO()
    lines = OutputLines(Screen(out), colour=True)  # type: ignore[arg-type]
    lines.feed("bench", b"bad \x1b[2J rule \xc2\x9b \xe2\x80\xae\n")
    assert out.getvalue().endswith(r"bad \x1b[2J rule \x9b \u202e" + "\n")
    assert out.getvalue().count("\x1b") == 2
