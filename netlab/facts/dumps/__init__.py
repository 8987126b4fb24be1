"""Dumps: which text counts as the output of `ipset save`, `iptables-save` and `nft list ruleset`.

Facts come from other machines, and the tools that load them into the kernel run with rights. These tools obey more than
their dumping side prints: `ipset restore` writes files (`save x -file PATH`), `nft -f` reads them (`include`), all of them
delete what was loaded before. Each file therefore passes an allow list before any tool is started:

- `files`: what may be read at all: regular files inside the network's folder, of a bounded size, with plain text in them;
- `ipset`, `iptables`, `nft`: the lines that the dumping tool prints, word by word; everything else is a fault with its line.

The allow lists refuse text that two readers could split differently (a quote inside a word, a line longer than a tool's
buffer), so that the tool reads the same words as the list did. Everything here is pure but `files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from netlab.facts.dumps import ipset, iptables, nft
from netlab.facts.json_lines import Fault

_LISTS: dict[str, Callable[[str], Iterator[Fault]]] = {
    "ipset.rules": ipset.faults,
    "iptables.rules": iptables.faults,
    "nft.rules": nft.faults,
}
MOST_FAULTS = 20
"""Faults named of one file; a file that is no dump at all has one in every line."""


def faults(file: str, text: str) -> list[Fault]:
    """What in `text` its dumping tool never prints, in order, at most MOST_FAULTS; [] for a dump, or for other files."""
    listed: list[Fault] = []
    for fault in _LISTS[file](text) if file in _LISTS else ():
        if len(listed) == MOST_FAULTS:
            return [*listed, Fault(fault.line, "and more like these")]
        listed.append(fault)
    return listed
