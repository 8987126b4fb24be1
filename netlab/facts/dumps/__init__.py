"""Allow lists for the output of `ipset save`, `iptables-save` and `nft list ruleset`.

Facts come from other machines, and the tools that load them into the kernel run with special rights. These tools accept
more than the dumping commands print: `ipset restore` writes files (`save x -file PATH`), `nft -f` reads files
(`include`), and all of them can delete what was loaded before. Each file must therefore pass an allow list before a
tool is started: `ipset`, `iptables` and `nft` check word by word that each line is one that the dumping tool prints.
Anything else is an error that names the line. Which files are read at all is decided in `netlab.facts.sources`.

The allow lists refuse text that two parsers could split differently (a quote inside a word, a line longer than a tool's
buffer). The tool therefore reads the same words as the allow list.
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
"""Maximum number of errors reported for one file. A file that is not a dump has an error in every line."""


def faults(file: str, text: str, *, whole: bool = False) -> list[Fault]:
    """Return the parts of `text` that the dumping tool never prints, in order.

    The result has at most MOST_FAULTS faults and one that says that there are more. It is [] for a valid dump and for a
    file without an allow list. `whole`: see `iptables.faults`.
    """
    listed: list[Fault] = []
    checked = iptables.faults(text, whole=True) if whole else _LISTS[file](text) if file in _LISTS else ()
    for fault in checked:
        if len(listed) == MOST_FAULTS:
            return [*listed, Fault(fault.line, "and more like these")]
        listed.append(fault)
    return listed
