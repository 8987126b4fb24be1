"""Patterns that several allow lists share: names, addresses, and how an error quotes a line. Pure."""

from __future__ import annotations

import re

from netlab.facts.json_lines import Fault

INTERFACE = re.compile(r"(?![-.]{1,2}\Z)[\w.@+][\w.@+-]{0,14}\Z")
"""An interface name: no quote, `#`, `%`, `;` or `/`, which `ip -batch`, the kernel or a path would interpret."""
NUMBER = re.compile(r"(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,20})\Z", re.ASCII)
OCTETS = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
QUOTED_LENGTH = 160


def interface(name: str) -> bool:
    """Whether the kernel and every tool accept `name` as an interface name and as nothing else."""
    return bool(INTERFACE.match(name)) and len(name.encode()) < 16


def refused(number: int, line: str, why: str) -> Fault:
    """An error that quotes its line."""
    text = line.strip()
    if len(text) > QUOTED_LENGTH:
        text = text[:QUOTED_LENGTH] + "…"
    return Fault(number, f"`{text}`: {why}")
