"""The result document's body from a question's flows; the run's id and mode are added by who asked. Pure."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address
from typing import Any

from netlab.packets.probe import Packet
from netlab.quick.flow import NO, UNKNOWN, YES, Flow, Question
from netlab.rules.caveats import Caveats
from netlab.rules.conditions import Ends, Traffic
from netlab.topology.ingress import Ingress


def answer(question: Question, entry: Ingress, flows: list[Flow], caveats: Caveats, digest: str) -> dict[str, Any]:
    """Everything the issue's result document has but run_id, mode and timing_ms."""
    services = [
        {
            "port": flow.service[0],
            "protocol": flow.service[1],
            "result": flow.result,
            "path": flow.path,
            "blocked_by": flow.blocked_by,
            "reason": flow.reason or None,
        }
        for flow in flows
    ]
    results = {str(service["result"]) for service in services}
    verdict = NO if NO in results else UNKNOWN if UNKNOWN in results else YES
    common = Counter(tuple(flow.path) for flow in flows).most_common(1)[0][0]
    return {
        "source": str(question.source),
        "destination": str(question.destination),
        "source_port": question.source_port,
        "dscp": question.dscp,
        "verdict": verdict,
        "path": list(common),
        "routers": _routers(flows),
        "services": services,
        "caveats": _caveats(entry, flows, caveats),
        "reason": _reason(flows),
        "facts": digest,
    }


def _routers(flows: list[Flow]) -> list[dict[str, Any]]:
    """One entry for each router as passed: hop, in and out; services that went another way have an entry of their own."""
    entries: dict[tuple[int, str, str, str], list[dict[str, Any]]] = {}
    for flow in flows:
        port, protocol = flow.service
        for hop, step in enumerate(flow.steps, start=1):
            key = (hop, step.router, step.in_iface, step.out_iface)
            cell: dict[str, Any] = {"port": port, "protocol": protocol, "result": step.result}
            if step.rule:
                cell["rule"] = step.rule.document()
            entries.setdefault(key, []).append(cell)
    return [
        {"name": name, "hop": hop, "in": in_iface or None, "out": out_iface or None, "services": cells}
        for (hop, name, in_iface, out_iface), cells in sorted(entries.items(), key=lambda item: item[0][0])
    ]


def _reason(flows: list[Flow]) -> str | None:
    """The reason if all services share one, else each reason with the services it is about; None when there is none."""
    services: dict[str, list[str]] = {}
    for flow in flows:
        if flow.reason:
            port, protocol = flow.service
            services.setdefault(flow.reason, []).append(protocol if port is None else f"{port}/{protocol}")
    if len(services) == 1 and sum(map(len, services.values())) == len(flows):
        return next(iter(services))
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in services.items()) or None


def _ends(packet: Packet) -> Ends:
    return Ends(IPv4Address(packet.source), IPv4Address(packet.destination), int.from_bytes(packet.ports[2:], "big"))


def _caveats(entry: Ingress, flows: list[Flow], caveats: Caveats) -> list[str]:
    found = dict.fromkeys([entry.note] if entry.note else [])
    for flow in flows:
        last = len(flow.steps) - 1
        ends: frozenset[Ends] | None = None
        for number, step in enumerate(flow.steps):
            here = number == last and not step.out_iface
            if not caveats.may(step.router, flow.service[1], step.in_iface, step.out_iface, here):
                continue
            if ends is None:
                ends = frozenset(_ends(packet) for packet in {*(packet for _, _, packet in flow.seen), flow.packet})
            traffic = Traffic(flow.service[1], step.in_iface, step.out_iface, here, ends)
            found.update(dict.fromkeys(caveats.about(step.router, traffic)))
        found.update(dict.fromkeys(flow.notes))
    return list(found)
