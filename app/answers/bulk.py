"""The answers of a bulk run in short: what stopped each question, a filter, and CSV. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from app.answers.rule_text import rule_text
from app.web.forms.spreadsheet import row
from netlab.results.bulk import BulkAnswer, BulkResult, BulkService
from netlab.results.document import YES
from netlab.results.services import fold, service_name

COLUMNS = (
    "line source source_port destination service answer path blocked_by rule file file_line reason depends_on one_way"
).split()


def stopped_by(result: BulkResult, answer: BulkAnswer) -> str:
    """Return what stopped the services of a question, such as `dc-fw iptables.rules:31`, each once.

    Without a router that blocked them, it is the reason. It is empty for a YES.
    """
    stops = [_stop(result, service) for service in answer.services if service.result != YES]
    return ", ".join(dict.fromkeys(stop for stop in stops if stop))


def _stop(result: BulkResult, service: BulkService) -> str:
    if not service.blocked_by:
        return service.reason or ""
    rule = rule_text(result.rule_of(service))
    return f"{service.blocked_by[0]} {rule.line if rule else ''}".strip()


def selected(result: BulkResult, *, verdict: str = "", text: str = "") -> list[BulkAnswer]:
    """Return the answers with this verdict that contain every word of the text; "" selects all.

    A word may be a part of an address, a service, or of what stopped the question.
    """
    words = text.lower().split()
    return [
        answer
        for answer in result.answers
        if (not verdict or answer.verdict == verdict)
        and (not words or _contains(_searched(result, answer).lower(), words))
    ]


def _contains(searched: str, words: Sequence[str]) -> bool:
    return all(word in searched for word in words)


def _searched(result: BulkResult, answer: BulkAnswer) -> str:
    services = " ".join(map(service_name, answer.services))
    return f"{answer.source} {answer.destination} {services} {stopped_by(result, answer)}"


def ask_alone(answer: BulkAnswer) -> str:
    """Return the address of the form for a new test, filled in with this question."""
    fields = {"source": answer.source, "destination": answer.destination, "services": fold(answer.services)}
    port = {"source_port": answer.source_port} if answer.source_port else {}
    return f"/?{urlencode(fields | port)}"


def bulk_csv(result: BulkResult) -> str:
    """Return all answers as CSV: one row for each service of each question, with COLUMNS as the header."""
    lines = [row(COLUMNS)]
    for answer in result.answers:
        caveats = "; ".join(result.texts(answer.depends_on))
        for service in answer.services:
            rule = rule_text(result.rule_of(service))
            file, _, file_line = rule.where.rpartition(":") if rule else ("", "", "")
            lines.append(
                row(
                    [
                        *(answer.line, answer.source, answer.source_port, answer.destination, service_name(service)),
                        *(service.result, " ".join(service.path), " ".join(service.blocked_by)),
                        *(rule.without_place if rule else None, file, file_line, service.reason, caveats, "yes"),
                    ]
                )
            )
    return "".join(lines)
