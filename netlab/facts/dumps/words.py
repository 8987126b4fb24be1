"""Patterns that several allow lists share (names and addresses), and the error that quotes a line. Pure."""

from __future__ import annotations

import re

from netlab.facts.json_lines import Fault

INTERFACE = re.compile(r"(?![-.]{1,2}\Z)[\w.@+][\w.@+-]{0,14}\Z")
"""An interface name without characters that `ip -batch`, the kernel or a path interprets: quotes, `#`, `%`, `;`, `/`.
"""
NUMBER = re.compile(r"(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,20})\Z", re.ASCII)
OCTETS = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
QUOTED_LENGTH = 160


def interface(name: str) -> bool:
    """Whether `name` is an interface name for the kernel and for every tool, and cannot mean anything else."""
    return bool(INTERFACE.match(name)) and len(name.encode()) < 16


def refused(number: int, line: str, why: str) -> Fault:
    """Return a fault that quotes its line."""
    text = line.strip()
    if len(text) > QUOTED_LENGTH:
        text = text[:QUOTED_LENGTH] + "…"
    return Fault(number, f"`{text}`: {why}")
