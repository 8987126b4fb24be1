"""Prints the report of a comparison in the form, and with the filter, that the options of a command choose."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import click
import msgspec
from msgspec.structs import replace

from app.answers.impact.markdown import impact_markdown
from app.answers.impact.selection import CLASSES, Selection, chosen, read_selection
from app.answers.impact.table import impact_csv
from app.changes.reporting import Report
from app.cli.impact_text import impact_text
from app.cli.system import json_option

Command = TypeVar("Command", bound=Callable[..., Any])


class ReportForm(NamedTuple):
    """How to print a report: `text`, `json`, `csv` or `markdown`, and which cells to list."""

    form: str
    selection: Selection

    def print(self, report: Report) -> int:
        """Print the report. Returns the exit code of its judgement, which is about all cells."""
        listed = replace(report, impact=chosen(report.impact, self.selection))
        click.echo(_FORMS[self.form](listed), nl=False)
        return report.judgement.exit_code


def report_options(command: Command) -> Command:
    """Add the options for the form of a report and its filter. The command gets them as one argument, `shown`.

    Wrong values of them raise BadInput or UsageError before the command is called.
    """

    @functools.wraps(command)
    def with_form(
        *,
        kinds: tuple[str, ...],
        router: str,
        address: str,
        services: str,
        as_csv: bool,
        markdown: bool,
        as_json: bool,
        **more: Any,
    ) -> Any:
        if sum((as_csv, markdown, as_json)) > 1:
            raise click.UsageError("give only one of --csv, --markdown and --json")
        form = "json" if as_json else "csv" if as_csv else "markdown" if markdown else "text"
        return command(shown=ReportForm(form, read_selection(kinds, router, address, services)), **more)

    options = (
        click.option(
            "--class",
            "kinds",
            multiple=True,
            type=click.Choice(CLASSES),
            help="List only cells of this class; may be repeated.",
        ),
        click.option(
            "--router", default="", help="List only cells whose packets pass this router or are blocked by it."
        ),
        click.option("--address", default="", help="List only cells from or to this address or subnet."),
        click.option("--services", default="", help="List only cells of these services."),
        click.option("--csv", "as_csv", is_flag=True, help="Print the listed cells as CSV."),
        click.option("--markdown", is_flag=True, help="Print the report as Markdown, for a merge request."),
        json_option,
    )
    for option in reversed(options):
        with_form = option(with_form)
    return with_form  # type: ignore[return-value]


def _json(report: Report) -> str:
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def _csv(report: Report) -> str:
    return impact_csv(report.impact)


def _markdown(report: Report) -> str:
    return impact_markdown(report.impact, report.judgement if report.expected else None)


def _text(report: Report) -> str:
    judgement = report.judgement if report.expected else None
    return impact_text(report.impact, judgement, width=shutil.get_terminal_size().columns) + "\n"


_FORMS: dict[str, Callable[[Report], str]] = {"text": _text, "json": _json, "csv": _csv, "markdown": _markdown}
