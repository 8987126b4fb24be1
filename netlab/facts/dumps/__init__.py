"""Allow lists for the output of `ipset save`, `iptables-save` and `nft list ruleset`.

Facts come from other machines, and the tools that load them into the kernel run with rights. These tools accept more
than their dumping side prints: `ipset restore` writes files (`save x -file PATH`), `nft -f` reads them (`include`), all
of them delete what was loaded before. Each file therefore passes an allow list before any tool is started:

- `files`: which files may be read: regular files inside the network's folder, of a bounded size, with plain text;

- `ipset`, `iptables`, `nft`: the lines that the dumping tool prints, word by word; everything else is an error with its
line.

The allow lists refuse text that two parsers could split differently (a quote inside a word, a line longer than a tool's
buffer), so that the tool reads the same words as the list did. Everything here is pure except `files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from netlab.facts.dumps import ipset, iptables, nft, wireguard
from netlab.facts.json_lines import Fault

_LISTS: dict[str, Callable[[str], Iterator[Fault]]] = {
    "ipset.rules": ipset.faults,
    "iptables.rules": iptables.faults,
    "iptables-legacy.rules": iptables.faults,
    "nft.rules": nft.faults,
    "wireguard.txt": wireguard.faults,
}
MOST_FAULTS = 20
"""Maximum number of errors reported for one file; a file that is not a dump has one in every line."""


def faults(file: str, text: str) -> list[Fault]:
    """The parts of `text` that its dumping tool never prints, in order, at most MOST_FAULTS; [] for a valid dump, or
    for other files.
    """
    listed: list[Fault] = []
    for fault in _LISTS[file](text) if file in _LISTS else ():
        if len(listed) == MOST_FAULTS:
            return [*listed, Fault(fault.line, "and more like these")]
        listed.append(fault)
    return listed
