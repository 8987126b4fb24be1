"""A click group that loads a command only when it is used, so that help and version do not load the rest of the system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

LEAST_COLUMNS = 6
"""Number of spaces around the two columns of a list of commands, as click counts them."""


class Lazy(NamedTuple):
    """Where to find a command, as `module:attribute`, and the first sentence of its help."""

    target: str
    summary: str


class LazyGroup(click.Group):
    """A group with a table of its commands by name. Its help uses only the table and does not load any command."""

    def __init__(self, *args: Any, table: Mapping[str, Lazy], **more: Any) -> None:
        super().__init__(*args, **more)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, sorted."""
        return sorted(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command with this name, or return None if the table does not contain it."""
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name].target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def load_named_in(self, words: Iterable[str]) -> None:
        """Load the command named in a command line, if it is in the table."""
        name = next((word for word in words if not word.startswith("-")), "")
        if name in self.table:
            import_module(self.table[name].target.partition(":")[0])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands as click does for loaded commands."""
        names = self.list_commands(ctx)
        limit = formatter.width - LEAST_COLUMNS - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._shortened(name, limit)) for name in names])

    def _shortened(self, name: str, limit: int) -> str:
        return click.Command(name, help=self.table[name].summary).get_short_help_str(limit)
