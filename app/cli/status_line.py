"""A status line on stderr for commands that wait."""

from __future__ import annotations

import re
import sys
import time

import click

from netlab.terminal import CLEAR_LINE

AGE = re.compile(r"\b\d+ (s|min|h) ago")
"""Pattern of the age of a report, which changes with every read."""
QUIET_S = 0.4
"""Time in s before the first progress message. A result that arrives sooner needs none."""


class StatusLine:
    """A status line on stderr.

    A terminal overwrites it. It is printed when more than the age of a report has changed.
    """

    def __init__(self) -> None:
        self._shown = ""
        self._since = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def show(self, state_text: str) -> None:
        """Show the state of what the command waits for."""
        news = AGE.sub("", state_text)
        if news == self._shown or time.monotonic() - self._since < QUIET_S:
            return
        self._shown = news
        click.echo(f"{CLEAR_LINE}{state_text}" if self.terminal else state_text, nl=not self.terminal, err=True)

    def clear(self) -> None:
        """Erase the status line before the result."""
        if self._shown and self.terminal:
            click.echo(CLEAR_LINE, nl=False, err=True)
        self._shown = ""
