"""The words that several allow lists share: names, addresses, and how a line is quoted in a fault. Pure."""

from __future__ import annotations

import re

from netlab.facts.json_lines import Fault

INTERFACE = re.compile(r"(?![-.]{1,2}\Z)[\w.@+][\w.@+-]{0,14}\Z")
"""An interface's name: no quote, `#`, `%`, `;` or `/`, which `ip -batch`, the kernel or a path would take for more."""
NUMBER = re.compile(r"(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,20})\Z", re.ASCII)
OCTETS = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
QUOTED_LENGTH = 160


def interface(name: str) -> bool:
    """Whether the kernel and every tool can take `name` as an interface's name, and as nothing else."""
    return bool(INTERFACE.match(name)) and len(name.encode()) < 16


def refused(number: int, line: str, why: str) -> Fault:
    """A fault that quotes the line it is about."""
    text = line.strip()
    if len(text) > QUOTED_LENGTH:
        text = text[:QUOTED_LENGTH] + "…"
    return Fault(number, f"`{text}`: {why}")
