"""Rule hits as Redis counts them for one set of facts. The network page shows them beside each rule. Pure functions.

The names of rules are those of `Answer.hits`. The store does not interpret them.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.runs.soundness import number

LAST = "last "
"""Prefix of the field with the time of the last hit. It contains a space because router names do not."""


def read(record: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Decode the HASH of hits to {name: (count, time of the last hit in ms)}."""
    return {
        name: (number(count), number(record.get(LAST + name)))
        for name, count in record.items()
        if not name.startswith(LAST) and number(count)
    }
