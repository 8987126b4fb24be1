"""The documents of many answers, as msgspec structs because they contain parts of the result document.

Rules and caveats, which a bulk result stores once, are written out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from app.answers.bulk import selected
from app.api.documents import run_document
from app.questions.answered import AnsweredRow
from ledger.runs.run import Run
from netlab.results.bulk import BulkAnswer, BulkResult
from netlab.results.document import Rule, Verdict
from netlab.results.services import service_name


class AnsweredService(Struct, frozen=True):
    """The answer for one service of a question."""

    port: Annotated[int, Meta(ge=1, le=65535)] | None
    protocol: str
    result: Verdict
    path: Annotated[tuple[str, ...], Meta(description="the routers that the packet passed, in order")]
    blocked_by: Annotated[tuple[str, ...], Meta(description="the routers that blocked it, the first one first")]
    reason: Annotated[str | None, Meta(description="the reason, if no rule blocked it")]
    rule: Annotated[Rule | None, Meta(description="the rule by which the first router blocked it")]


class AnsweredQuestion(Struct, frozen=True):
    """The answers for one question of a bulk run. Only the forward path was tested."""

    line: Annotated[int, Meta(description="line of the question in what the user submitted, from 1")]
    source: str
    destination: str
    source_port: int | None
    verdict: Annotated[Verdict, Meta(description="the worst result of its services")]
    services: tuple[AnsweredService, ...]
    depends_on: Annotated[tuple[str, ...], Meta(description="the caveats that could change the answer")]
    caveats: Annotated[tuple[str, ...], Meta(description="all caveats")]


class VerdictCounts(Struct, frozen=True):
    """Number of questions with each answer."""

    YES: int
    NO: int
    UNKNOWN: int


class AnswersPage(Struct, frozen=True):
    """A part of the answers of a bulk run, in the order of its questions."""

    run_id: str
    facts: Annotated[str, Meta(description="hash of the facts that were tested")]
    answers: tuple[AnsweredQuestion, ...]
    matching: Annotated[int, Meta(description="number of answers that match the filters, on all pages")]
    totals: Annotated[VerdictCounts, Meta(description="numbers for the whole run, without the filters")]
    offset: int
    limit: int


def answers_page(result: BulkResult, *, verdict: str, text: str, offset: int, limit: int) -> AnswersPage:
    """Return a page of the answers that match."""
    matching = selected(result, verdict=verdict, text=text)
    counts = result.counts
    return AnswersPage(
        run_id=result.run_id,
        facts=result.facts,
        answers=tuple(_written_out(result, answer) for answer in matching[offset : offset + limit]),
        matching=len(matching),
        totals=VerdictCounts(counts.get("YES", 0), counts.get("NO", 0), counts.get("UNKNOWN", 0)),
        offset=offset,
        limit=limit,
    )


def _written_out(result: BulkResult, answer: BulkAnswer) -> AnsweredQuestion:
    return AnsweredQuestion(
        line=answer.line,
        source=answer.source,
        destination=answer.destination,
        source_port=answer.source_port,
        verdict=answer.verdict,
        services=tuple(
            AnsweredService(
                service.port,
                service.protocol,
                service.result,
                service.path,
                service.blocked_by,
                service.reason,
                result.rule_of(service),
            )
            for service in answer.services
        ),
        depends_on=result.texts(answer.depends_on),
        caveats=result.texts(answer.caveats),
    )


def rows_document(runs: Sequence[Run], rows: Iterable[AnsweredRow]) -> str:
    """Return the answers of the rows of a file as JSON: the runs, and one object for each row."""
    document: dict[str, Any] = {
        "runs": [run_document(run).model_dump(mode="json") for run in runs],
        "answers": [_row(one) for one in rows],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _row(one: AnsweredRow) -> dict[str, object]:
    return {
        "line": one.line,
        "source": one.source,
        "destination": one.destination,
        "source_port": one.source_port,
        "services": [service_name(service) for service in one.services],
        "mode": str(one.mode),
        "state": str(one.run.state),
        "verdict": one.verdict,
        "stopped_by": one.stopped_by,
        "one_way": one.forward_only,
        "error": one.why_not,
        "run_id": one.run.id,
    }
