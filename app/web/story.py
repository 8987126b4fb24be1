"""What a run's page tells: its way so far, one sentence an answer, the same question on other doors. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import spelling
from app.web import words
from app.web.rule_text import RuleText, rule_text
from ledger import keys
from ledger.runs import ENDED, Run, State

WORST_FIRST = ("NO", "UNKNOWN", "YES")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run's way: `mark` is past, now, ill or next; `ms` 0 when it has not happened."""

    mark: str
    words: str
    ms: int = 0
    after_ms: int | None = None


def way(run: Run, log: Sequence[Mapping[str, Any]]) -> list[Step]:
    """From submitted to ended; the phases of a detailed run stand between."""
    steps = [Step("past", f"Asked by {run.user}", run.submitted_ms)]
    if run.state is State.PENDING:
        again = f", attempt {run.attempt + 1}" if run.attempt else ""
        return [
            *steps,
            Step("now", f"Waits for its turn{again}"),
            Step("next", "Runs on the bench"),
            Step("next", "Answered"),
        ]
    if run.promoted_ms:
        lane = f", lane {run.dscp} is its own" if run.dscp is not None else ", the bench is its own"
        steps.append(Step("past", f"Its turn{lane}", run.promoted_ms, run.promoted_ms - run.submitted_ms))
    if run.state is State.PROMOTED:
        return [*steps, Step("now", "A worker takes it up"), Step("next", "Answered")]
    if run.started_ms:
        steps.append(Step("past", f"Begun by {run.worker}", run.started_ms, run.started_ms - run.submitted_ms))
    phases = [entry for entry in log if entry["ms"] >= run.started_ms]
    steps += [Step("past", str(e["message"]), e["ms"], e["ms"] - run.submitted_ms) for e in phases[-8:]]
    if run.state not in ENDED:
        return [*steps, Step("now", "Being cancelled" if run.cancelling else "On the bench"), Step("next", "Answered")]
    words = {State.DONE: "Answered", State.FAILED: f"Failed: {run.error}", State.CANCELLED: "Cancelled"}[run.state]
    mark = "past" if run.state is State.DONE else "ill"
    return [*steps, Step(mark, words, run.finished_ms, run.finished_ms - run.submitted_ms)]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing to tell a colleague: of these services this is so."""

    result: str
    text: str


def sentences(document: Mapping[str, Any]) -> list[Sentence]:
    """The worst first; a detailed run says its own, a quick one's are made from who blocks and by which rule."""
    if document["mode"] == "detailed":
        said = [Sentence(service["result"], service["sentence"]) for service in document["services"]]
    else:
        said = _quick(document)
    return sorted(dict.fromkeys(said), key=lambda sentence: WORST_FIRST.index(sentence.result))


def _quick(document: Mapping[str, Any]) -> list[Sentence]:
    ends = f"from {document['source']} to {document['destination']}"
    alike: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for service in document["services"]:
        alike.setdefault((service["result"], _because(document, service)), []).append(service)
    return [
        Sentence(result, f"{spelling.fold(services)} {ends} {_is(result, len(services))}{because}.")
        for (result, because), services in alike.items()
    ]


def _is(result: str, count: int) -> str:
    verb = "is" if count == 1 else "are"
    return {"YES": f"{verb} let through", "NO": f"{verb} blocked"}.get(result, "cannot be told")


def _because(document: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    if service["result"] == "YES":
        return f" by {', '.join(service['path'])}" if service["path"] else ": no router is between"
    blockers = []
    for router in document["routers"]:
        for cell in router["services"]:
            if cell["result"] == "NO" and _same(cell, service):
                rule = rule_text(cell.get("rule"))
                blockers.append(f"{router['name']}{f', {_quote(rule)}' if rule else ''}")
    if blockers:
        return " by " + " and by ".join(dict.fromkeys(blockers))
    return f": {service['reason']}" if service.get("reason") else ""


def _quote(rule: RuleText) -> str:
    if rule.short.startswith("policy of "):
        return rule.short.replace("policy", rule.text, 1) + (f" ({rule.where})" if rule.where else "")
    text = f": {rule.text}" if rule.text else ""
    return f"{rule.short}{text}" + (f" ({rule.where})" if rule.where else "")


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["port"] == other["port"] and one["protocol"] == other["protocol"])


def no_services(document: Mapping[str, Any]) -> str:
    """The services that were not let through, as the form takes them; what a detailed run would explain."""
    return spelling.fold(service for service in document["services"] if service["result"] == "NO")


def commands(run: Run, base: str) -> list[tuple[str, str]]:
    """(what it does, the command): the same question and the same run from a terminal."""
    services = spelling.fold(service.model_dump() for service in run.services).replace(", ", ",")
    mode = " --mode detailed" if run.mode == "detailed" else ""
    port = f" --source-port {run.source_port}" if run.source_port else ""
    redis = (f"HGETALL {keys.run(run.id)}", f"GET {keys.result(run.id)}", f"XRANGE {keys.log(run.id)} - +")
    return [
        ("Ask again", f"reachq submit {run.source} {run.destination} {shlex.quote(services)}{mode}{port} --wait"),
        ("This run", f"reachq show {words.short(run.id)}"),
        ("Over HTTP", f'curl -H "Authorization: Bearer $REACHQ_TOKEN" {base}/api/runs/{run.id}/result'),
        ("In Redis", "\n".join(f"redis-cli {command}" for command in redis)),
    ]
