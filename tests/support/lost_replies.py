"""The sample network with one more fault, so that a detailed run takes long: replies to one client are lost."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.parts import ROOT

CAMPUS = ROOT / "networks" / "campus"
UNANSWERED = "10.1.10.21"
"""Like any user at headquarters, but hq-core has a route for it to an address that does not exist."""
_FAULT = '{"dst":"10.1.10.21","gateway":"10.1.10.99","dev":"eth1","protocol":"static","flags":[]},\n'


def lossy_campus(folder: Path) -> Path:
    """Write the network to `folder`. No rule blocks the reply, so only the timeout ends a connection from UNANSWERED."""
    shutil.copytree(CAMPUS, folder)
    routes = folder / "hq-core" / "routes.json"
    routes.write_text(routes.read_text().replace("[{", "[" + _FAULT + "{", 1))
    return folder
