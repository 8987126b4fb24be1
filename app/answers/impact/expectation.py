"""Reads a file that states what a change may do to the answers. Pure.

    version: 1
    gained:
      - from: 10.1.10.0/24      # address or subnet
        to: 10.3.20.8
        services: 5432/tcp      # any service if left out; a port without a protocol is TCP
    lost: []
    rerouted: any

The fields are the classes `lost`, `gained`, `rerouted` and `other-rule`. Each has a list of the cells that may change,
or `any`. No cell of a class that is left out may change. An undetermined cell cannot be expected, because a result that
is not known cannot be announced.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from app.answers.impact.document import CHANGED, UNDETERMINED, CellChange, Class
from app.answers.impact.subnets import EXAMPLE, contains, read_subnet
from app.formatting import ARROW
from app.strict_yaml import Value, read_yaml
from ledger.errors import BadInput
from ledger.runs.services import parse_services
from netlab.results.services import fold

VERSION: Final = "1"
ANY: Final = "any"
CLASSES: tuple[Class, ...] = tuple(kind for kind in CHANGED if kind != UNDETERMINED)
"""The classes that can be expected."""
_ENTRIES = "give a list of entries with `from` and `to`, [] for none, or any"


class ExpectedChange(Struct, frozen=True):
    """One entry of the file: the cells from a subnet to a subnet that are announced to change in one way."""

    kind: Class
    source: Annotated[str, Meta(description="the subnet of the sources")]
    destination: Annotated[str, Meta(description="the subnet of the destinations")]
    services: Annotated[tuple[str, ...] | None, Meta(description="such as `443/tcp`; null for any service")]
    sentence: Annotated[str, Meta(description="the entry in words, with file and line")]


class Expectation(Struct, frozen=True):
    """What a change may do."""

    entries: tuple[ExpectedChange, ...] = ()
    anything: frozenset[Class] = frozenset()
    """The classes of which every cell may be."""


NOTHING: Final = Expectation()
"""No cell may change."""


def read_expectation(text: str, file: str) -> Expectation:
    """Return the content of the file. `file` is its name for messages.

    Raises BadInput, which names file, line, field, value and remedy.
    """
    whole = read_yaml(text, file)
    fields = whole.fields(("version", *CLASSES), ("version",))
    if fields["version"].text(f"give {VERSION}") != VERSION:
        raise fields["version"].wrong(f"is not a known version: give {VERSION}")
    if len(fields) == 1:
        raise whole.wrong(f"states no expectation: give at least one of {', '.join(CLASSES)}")
    anything, entries = set(), []
    for kind in CLASSES:
        value = fields.get(kind)
        if value is None:
            continue
        if value.is_text:
            if value.text(_ENTRIES) != ANY:
                raise value.wrong(f"is not possible: {_ENTRIES}")
            anything.add(kind)
        else:
            entries += [_entry(kind, item) for item in value.items(_ENTRIES)]
    return Expectation(tuple(entries), frozenset(anything))


def matches(entry: ExpectedChange, change: CellChange) -> bool:
    """Return whether a changed cell is one that the entry announces."""
    return (
        change.kind == entry.kind
        and contains(entry.source, change.source)
        and contains(entry.destination, change.destination)
        and (entry.services is None or change.service in entry.services)
    )


def _entry(kind: Class, value: Value) -> ExpectedChange:
    fields = value.fields(("from", "to", "services"), ("from", "to"))
    source, destination = _subnet(fields["from"]), _subnet(fields["to"])
    services, shown = _services(fields["services"]) if "services" in fields else (None, "any service")
    sentence = f"{kind}: {source}{ARROW}{destination} {shown} ({value.file}:{value.line})"
    return ExpectedChange(kind, source, destination, services, sentence)


def _subnet(value: Value) -> str:
    try:
        return read_subnet(value.text(EXAMPLE))
    except ValueError as bad:
        raise value.wrong(str(bad)) from None


def _services(value: Value) -> tuple[tuple[str, ...], str]:
    """Return the services, and their text in short form."""
    example = "give for example 443/tcp or 22, 8000-8003/tcp; leave it out for any service"
    parts = [value] if value.is_text else value.items(example)
    texts = [part.text(example) for part in parts]
    try:
        services = parse_services(texts)
    except BadInput as bad:
        raise value.wrong(f"cannot be used: {bad.value!r} {bad.remedy}") from None
    return tuple(map(str, services)), fold(services)
