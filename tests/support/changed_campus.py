"""The sample network some days later: a rule, a route and a set have changed, and a router is gone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.system.running import CAMPUS

CHANGES = {
    "dc-fw/iptables.rules": (
        "-s 10.1.10.32/27 -p tcp -m tcp --dport 5432",
        "-s 10.1.10.0/24 -p tcp -m tcp --dport 5432",
    ),
    "dc-fw/ipset.rules": ("add admins 10.1.99.11\n", "add admins 10.1.99.12\nadd admins 10.1.99.13\n"),
    "dc-gw/routes.json": ('"dst":"172.20.0.0/16"', '"dst":"172.20.0.0/14"'),
}
"""{file: (text, its replacement)}."""
REMOVED = "hq-wifi"


def changed_campus(parent: Path, changes: Mapping[str, tuple[str, str]] = CHANGES) -> Path:
    """Make a folder `campus` with the sample network, changed."""
    folder = parent / "campus"
    shutil.copytree(CAMPUS, folder)
    shutil.rmtree(folder / REMOVED)
    for name, (before, after) in changes.items():
        text = (folder / name).read_text()
        assert before in text, name
        (folder / name).write_text(text.replace(before, after))
    return folder
