"""The network pages: a picture, and each router with its facts, its rules and their hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import g
from werkzeug.wrappers import Response

from app.http.problems import ApiProblem
from app.snapshots.network import CurrentNetwork, NetworkFactsView
from app.web.pictures.network_picture import network_picture
from app.web.shell import Page, render
from ledger.store import AppLedger
from netlab.facts.reader import COLLECT_COMMANDS, RouterFacts
from netlab.service.status import BenchReport

Hits = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One line of a rule file. `hits` and `last_ms` are 0 for a line that decided no test."""

    number: int
    text: str
    hits: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file of a router, and the number of hits of all its lines."""

    name: str
    lines: list[RuleLine]
    decided: int


class NetworkPages:
    """The pages `/network` and `/network/<router>`."""

    def __init__(self, ledger: AppLedger, network: CurrentNetwork) -> None:
        self._ledger = ledger
        self._network = network
        self._drawn: tuple[NetworkFactsView | None, str] = (None, "")

    def page(self) -> Response:
        """Show the picture, the segments, and whether the bench has the same facts."""
        status = BenchReport.read(self._ledger.bench_status())
        network = self._network.view()
        hits = self._ledger.rule_hits(network.digest) if network.digest else {}
        decided: dict[str, int] = {}
        for place, (count, _) in hits.items():
            decided[place.partition("/")[0]] = decided.get(place.partition("/")[0], 0) + count
        return render(
            "network.html",
            network=network,
            picture=self._picture(network),
            status=status,
            decided=decided,
            address=address,
            differs=bool(status.facts and network.digest and status.facts != network.digest),
        )

    def router(self, name: str) -> Response:
        """Show one router: interfaces, and each file of its facts with line numbers and hits."""
        network = self._network.view()
        topology = network.topology
        if topology is None or name not in topology.routers:
            raise ApiProblem(404, "not-found", f"There is no router {name[:63]} in this network.")
        facts = topology.routers[name]
        hits = self._ledger.rule_hits(network.digest)
        return render(
            "router.html",
            router=facts,
            segments={port.interface: s for port, s in topology.segment_of.items() if port.router == name},
            files=[rule_file(facts, file, text, hits) for file, text in rule_files(facts)],
            unwritten=[
                (place.partition("/")[2], count, last_ms)
                for place, (count, last_ms) in sorted(hits.items())
                if place.startswith(f"{name}/") and place.endswith(" policy")
            ],
            routes=[route(entry.data, entry.line) for entry in facts.routes],
            policy=[policy_rule(entry.data) for entry in facts.rules or ()],
            commands=COLLECT_COMMANDS,
            network=network,
            me_may_ask=g.identity.role != "viewer",
        )

    def _picture(self, network: NetworkFactsView) -> str:
        """Return the picture of the network, which is drawn once for each snapshot."""
        drawn, picture = self._drawn
        if drawn is not network:
            picture = network_picture(network.topology, href=address) if network.topology else ""
            self._drawn = (network, picture)
        return picture

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/network", "network", self.page),
            Page("GET", "/network/<name>", "router", self.router),
        ]


def address(router: str) -> str:
    """Return the address of a router's page."""
    return f"/network/{quote(router, safe='')}"


def rule_files(facts: RouterFacts) -> list[tuple[str, str]]:
    """Return (name, text) of each rule file of a router."""
    named = (
        (facts.iptables_file, facts.iptables),
        ("iptables-legacy.rules", facts.iptables_legacy),
        ("nft.rules", facts.nft),
        ("ipset.rules", facts.ipset),
    )
    return [(file, text) for file, text in named if text.strip()]


def route(data: Mapping[str, Any], line: int) -> dict[str, str]:
    """Return one route in the notation of `ip route`, as {line, to, via, table}."""
    hops = data.get("nexthops") or [data]
    via = [
        f"via {hop['gateway']} dev {hop['dev']}" if "gateway" in hop else f"dev {hop.get('dev', '')}" for hop in hops
    ]
    kind = "" if data.get("type", "unicast") == "unicast" else f"{data['type']} "
    metric = f" metric {data['metric']}" if "metric" in data else ""
    to = f"{kind}{data.get('dst', '')}"
    return {"line": str(line), "to": to, "via": ", ".join(via) + metric, "table": str(data.get("table", "main"))}


def policy_rule(data: Mapping[str, Any]) -> str:
    """Return one policy rule in the notation of `ip rule`."""
    text = f"{data.get('priority', 0)}: from {data.get('src', 'all')}"
    text += f"/{data['srclen']}" if "srclen" in data else ""
    for name in ("dst", "iif", "oif", "fwmark", "tos", "dport", "sport", "ipproto"):
        text += f" {'to' if name == 'dst' else name} {data[name]}" if name in data else ""
    return f"{text} lookup {data.get('table', data.get('action', ''))}"


def rule_file(facts: RouterFacts, file: str, text: str, hits: Hits) -> RuleFile:
    """Return one file with its lines and their hits."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        count, last_ms = hits.get(f"{facts.name}/{file}:{number}", (0, 0))
        lines.append(RuleLine(number, line, count, last_ms))
    return RuleFile(file, lines, sum(line.hits for line in lines))
