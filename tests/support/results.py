"""Result documents for tests: samples of real runs, and small ones written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from ledger.runs.records import Answer
from ledger.store import AppLedger
from netlab.results.codec import BadDocument, decode
from netlab.results.document import Result, Rule
from workers.jobs import answer_of

SAMPLES = Path(__file__).resolve().parents[1] / "unit" / "samples"
Document = dict[str, Any]


def sample(name: str) -> Document:
    """A run on networks/campus: quick, quick-many (40 services), detailed, detailed-nat. Returns a new copy."""
    document: Document = json.loads((SAMPLES / f"{name}.json").read_text())
    return document


def read(document: Document) -> Result:
    """The document as every reader gets it."""
    return decode(json.dumps(document))


def stored(ledger: AppLedger, run_id: str) -> Document | None:
    """The result document of a run as the ledger keeps it."""
    text = ledger.result(run_id)
    document: Document | None = json.loads(text) if text else None
    return document


def answer_with(document: Document) -> Answer:
    """The answer of a run whose worker read this document; an invalid one is stored unchanged."""
    try:
        return answer_of(read(document))
    except BadDocument:
        return Answer(str(document.get("verdict", "")), json.dumps(document, ensure_ascii=False))


def read_rule(document: Document) -> Rule:
    """A rule's entry as every reader gets it."""
    return msgspec.convert(document, Rule)


def service(name: str, result: str, **other: Any) -> Document:
    """A service's entry; `name` is `22/tcp` or `icmp`."""
    port, _, protocol = name.rpartition("/")
    return {
        "port": int(port) if port else None,
        "protocol": protocol,
        "result": result,
        "path": [],
        "blocked_by": [],
        "reason": None,
        **other,
    }


def router(
    name: str, hop: int, answers: dict[str, Any], in_iface: str = "eth0", out_iface: str | None = "eth1"
) -> Document:
    """A router's entry; `answers`: service -> its result, or (result, rule)."""
    cells = []
    for called, answer in answers.items():
        result, rule = answer if isinstance(answer, tuple) else (answer, None)
        cell = service(called, result)
        cells.append({key: cell[key] for key in ("port", "protocol", "result")} | ({"rule": rule} if rule else {}))
    return {"name": name, "hop": hop, "in": in_iface, "out": out_iface, "services": cells}


def hop(name: str, direction: str, result: str = "YES", **other: Any) -> Document:
    """A hop of a detailed run's service; a NO has no outgoing interface."""
    way = {"in": "eth0", "out": "eth1" if result == "YES" else None}
    return {
        "router": name,
        "direction": direction,
        **way,
        "result": result,
        "rule": None,
        "nat": None,
        **other,
    }


def rule(text: str | None = "-j DROP", *, chains: tuple[str, ...] = ("FORWARD",), **other: Any) -> Document:
    """A rule's entry, number 7 on line 31 of r/iptables.rules."""
    return {
        "family": "ip",
        "table": "filter",
        "chain": chains[-1],
        "chains": list(chains),
        "number": 7,
        "text": text and f"-A {chains[-1]} {text}",
        "file": "r/iptables.rules",
        "line": 31,
        "hook": "forward",
        "verdict": "DROP",
        "policy": False,
        **other,
    }


def policy(**other: Any) -> Document:
    """A chain's policy as its entry."""
    return rule(number=None, text=":FORWARD DROP [12:3400]", line=4, policy=True) | other


def document(services: list[Document], routers: list[Document] | None = None, **other: Any) -> Document:
    """A result with these entries, quick unless said otherwise."""
    results = [entry["result"] for entry in services]
    return {
        "run_id": "3f2a9c1e-0000-4000-8000-000000000000",
        "mode": "quick",
        "source": "10.1.10.20",
        "destination": "10.3.20.8",
        "source_port": None,
        "verdict": next((worst for worst in ("NO", "UNKNOWN") if worst in results), "YES"),
        "path": [],
        "routers": routers or [],
        "services": services,
        "caveats": [],
        "reason": None,
        "facts": "abcdef123456",
        "timing_ms": {},
        **other,
    }
