"""What each router did to the packets of a detailed run, as a table for a terminal. Pure."""

from __future__ import annotations

from app.answers.paths import ServicePath
from app.cli.console import columns, paint
from app.formatting import ARROW
from netlab.results.document import YES


def table(path: ServicePath) -> str:
    """Return the routers of the request and of the reply, each with the deciding rule; empty without routers."""
    rows = []
    for side, leg in path.legs:
        for stop in leg.stops:
            if stop.not_probed:
                continue
            interfaces = f"{stop.in_iface or 'itself'}{ARROW}{stop.out_iface or end(stop.result)}"
            rule = stop.rule.whole if stop.rule else "no rule: nothing filters here"
            nat = f"  {stop.nat_whole}" if stop.nat_whole else ""
            rows.append([side, stop.router, interfaces, paint(stop.result), rule + nat])
    return "\n".join([f"  {path.service}", columns(rows)]) if rows else ""


def end(result: str) -> str:
    """Return the text in place of the outgoing interface.

    The router was the packet's destination, or stopped the packet.
    """
    return "itself" if result == YES else "–"
