"""The output of several processes on one terminal. Each line shows the time and the name of its process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TextIO

import click

from netlab.terminal import own

COLOURS = ("36", "33", "32", "35", "34", "31")
OURSELVES = "reachq"


class OutputLines:
    """Joins chunks of bytes to lines and prints them with a prefix, as honcho does. JSON lines get no prefix."""

    def __init__(self, out: TextIO | None = None, *, colour: bool = False, width: int = 12) -> None:
        self._out = out if out is not None else sys.stdout
        self._colour = colour
        self._width = width
        self._partial: dict[str, bytes] = {}
        self._order: list[str] = []

    def feed(self, name: str, chunk: bytes, shows: Callable[[str], bool] = lambda line: True) -> list[str]:
        """Add output of `name` (b"" at its end), and print the complete lines that `shows` accepts.

        Returns all complete lines that are not blank.
        """
        buffered = self._partial.pop(name, b"") + chunk
        *complete, rest = buffered.split(b"\n")
        if rest and chunk and len(rest) < 65536:
            self._partial[name] = rest
        elif rest:
            complete.append(rest)
        shown = [line.decode(errors="replace").rstrip("\r") for line in complete]
        for line in shown:
            if shows(line):
                self._print(name, line)
        return [line for line in shown if line.strip()]

    def say(self, message: str) -> None:
        """Print a line of the supervisor itself."""
        self._print(OURSELVES, message)

    def block(self, text: str) -> None:
        """Print a text without a prefix."""
        self._out.write((text if self._colour else click.unstyle(text)).rstrip("\n") + "\n")
        self._out.flush()

    def mute(self) -> None:
        """Drop all further output, because its reader has gone."""
        self._print = lambda name, line: None  # type: ignore[method-assign]

    def _print(self, name: str, line: str) -> None:
        if line.startswith('{"time": '):  # REACHQ_LOG_FORMAT=json: the line already contains time and process
            self._out.write(f"{line}\n")
            self._out.flush()
            return
        prefix = f"{datetime.now():%H:%M:%S} {name:<{self._width}} | "
        if self._colour:
            if name not in self._order:
                self._order.append(name)
            prefix = own(f"\x1b[{COLOURS[self._order.index(name) % len(COLOURS)]}m{prefix}\x1b[0m")
        self._out.write(f"{prefix}{line}\n")
        self._out.flush()
