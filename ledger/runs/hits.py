"""Rule hits as Redis counts them for one set of facts; the network page shows them beside each rule. Pure.

Names are those of `Answer.hits`, which the store does not interpret.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.runs.soundness import number

LAST = "last "
"""Prefix of the field with the time of the last hit; router names contain no space."""


def read(record: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Decode the HASH of hits to {name: (count, time of the last one in ms)}."""
    return {
        name: (number(count), number(record.get(LAST + name)))
        for name, count in record.items()
        if not name.startswith(LAST) and number(count)
    }
