"""Rules in a result document as text for a terminal: which said no, and what each router of a detailed run did. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.cli.console import columns, paint, style
from app.formatting import ARROW, body, chain, fold, place


def spell(rule: Mapping[str, Any]) -> str:
    """`FORWARD rule 7: -s … -j DROP  (dc-core/iptables.rules:31)`; a policy is called one."""
    way, at = chain(rule), place(rule)
    where = f"  ({at})" if at else ""
    if rule["policy"]:
        return f"{rule['table']} {way} policy {rule['verdict']}{where}"
    if not rule.get("text"):
        return f"{rule['table']} {way} {rule['verdict']}"
    return f"{rule['table']} {way} rule {rule['number']}: {body(rule)}{where}"


def blocking(routers: Iterable[Mapping[str, Any]]) -> str:
    """Each rule that said no to something, once, with the services it stopped."""
    stopped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for router in routers:
        for cell in router["services"]:
            if cell["result"] == "NO" and cell.get("rule"):
                stopped.setdefault((router["name"], spell(cell["rule"])), []).append(cell)
    rows = [[name, fold(services), rule] for (name, rule), services in stopped.items()]
    return columns([["by", "stops", "rule"], *rows]) if rows else ""


def ways(services: Iterable[Mapping[str, Any]]) -> str:
    """For each service its sentence, and the request's and the reply's way with the rule that decided on each router."""
    parts = []
    for service in services:
        parts.append(f"  {paint(service['result'])}  {style(service['sentence'], bold=True)}")
        rows = []
        for hop in service["hops"]:
            way = f"{hop['in'] or 'itself'}{ARROW}{hop['out'] or end(hop['result'])}"
            rule = spell(hop["rule"]) if hop["rule"] else "no rule: nothing filters here"
            nat = f"  NAT {hop['nat']['before']}  ⇒  {hop['nat']['after']}" if hop["nat"] else ""
            rows.append([hop["direction"], hop["router"], way, paint(hop["result"]), rule + nat])
        if rows:
            parts.append(columns(rows))
        if service.get("also_blocked_by"):
            parts.append(f"    further on it would be stopped by {', '.join(service['also_blocked_by'])} as well")
    return "\n\n".join(parts)


def end(result: str) -> str:
    """What stands for the interface out where there is none: the router took it for itself, or stopped it."""
    return "itself" if result == "YES" else "–"
