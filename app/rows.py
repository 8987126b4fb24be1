"""Bulk tests from rows of text, which are parsed and validated row by row. Nothing is stored. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger.errors import BadInput
from ledger.runs.requests import RunRequest, examine
from ledger.runs.run import SINGLE

ROWS_MAX = 5000
"""Maximum number of rows on the page, and of questions in one request of the API."""
FILE_ROWS_MAX = 20_000
"""Maximum number of rows of a file that the command line submits."""
NAMES = ("source", "destination", "services", "mode", "source_port")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as typed, with its request or what is wrong with it. `line` counts from 1."""

    line: int
    text: str
    request: RunRequest | None
    errors: tuple[str, ...]


def read_rows(text: str, *, mode: str = "quick", default_protocol: str = "tcp", at_most: int = ROWS_MAX) -> list[Row]:
    """Parse every row except empty ones and comments (#).

    The columns are `source,destination,services[,mode[,source_port]]`, separated by commas, semicolons or tabs. A first
    row with these names may change the order, and its separator is that of all rows. Without names, each row may have
    another separator, and each value after the destination that is not a mode counts as a service, so that services
    need no quotes. Raises BadInput for more than `at_most` rows.
    """
    typed = list(
        io.StringIO(text.lstrip("\ufeff"), newline=None)
    )  # accept the line ends of all systems, including a single CR
    rows: list[Row] = []
    names: Sequence[str] | None = None
    separator = ""
    for number, line in enumerate(typed, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        mark = separator or _separator(line.strip())
        cells = _cells(line.strip(), mark)
        if not rows and names is None and {cell.lower() for cell in cells} >= set(NAMES[:3]):
            names, separator = [cell.lower() for cell in cells], mark
            continue
        if len(rows) == at_most:
            raise BadInput("rows", f"line {number}", f"is one too many: at most {at_most:,} rows at once")
        fields = _named(names, cells) if names else _by_place(cells)
        rows.append(_judge(number, line.strip(), {"mode": mode, **fields}, default_protocol))
    return rows


def _cells(line: str, mark: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
    except csv.Error:  # a cell that is longer than any valid one
        return [line]


def _separator(line: str) -> str:
    return next((mark for mark in ("\t", ";") if mark in line), ",")


def _named(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    return {name: cell for name, cell in zip(names, cells, strict=False) if cell or name in NAMES[:3]}


def _by_place(cells: Sequence[str]) -> dict[str, str]:
    rest = [cell for cell in cells[2:] if cell]
    modes = [cell for cell in rest if cell in SINGLE]
    services = ",".join(cell for cell in rest if cell not in modes)
    fields = dict(zip(NAMES, [*cells[:2], services], strict=False))
    return fields | ({"mode": modes[0]} if modes else {})


def _judge(line: int, text: str, fields: dict[str, str], default_protocol: str) -> Row:
    wrong: Iterable[str]
    unknown = [name for name in fields if name not in NAMES]
    port: object = fields.get("source_port") or None
    if isinstance(port, str) and port.isascii() and port.isdigit():
        port = int(port) if len(port) < 10 else port
    request, bad = examine(
        fields.get("source", ""),
        fields.get("destination", ""),
        fields.get("services", ""),
        fields["mode"],
        port,
        default_protocol=default_protocol,
    )
    wrong = [str(error) for error in bad] + [
        f"{name}: is not a valid column: use {', '.join(NAMES)}" for name in unknown
    ]
    return Row(line, text, None if wrong else request, tuple(wrong))
