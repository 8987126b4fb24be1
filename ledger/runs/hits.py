"""Hits of rules, as Redis counts them for one set of facts: what the network page shows beside each rule. Pure.

The names are those of `Answer.hits`, which the store does not interpret.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.runs.soundness import number

LAST = "last "
"""Prefix of the field that holds the time of the last hit; the name of a router has no space."""


def read(record: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """The HASH of hits as {name: (count, time of the last one in ms)}."""
    return {
        name: (number(count), number(record.get(LAST + name)))
        for name, count in record.items()
        if not name.startswith(LAST) and number(count)
    }
