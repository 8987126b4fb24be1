"""What the page of a bulk run shows: its progress, and then its answers, filtered and in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from app.answers.bulk import ask_alone, selected, stopped_by
from netlab.results.bulk import BulkAnswer, BulkResult
from netlab.results.services import fold

PAGE = 100
VERDICTS = ("YES", "NO", "UNKNOWN")


class ShownAnswer(NamedTuple):
    """One line of the table."""

    line: int
    verdict: str
    source: str
    destination: str
    source_port: int | None
    services: str
    stopped_by: str
    depends_on: Sequence[str]
    """The caveats that could change the answer."""
    alone: str
    """Address of the form for a new test, filled in with this question."""


@dataclass(frozen=True)
class ShownAnswers:
    """One page of the answers, and the filters that select them."""

    counts: Mapping[str, int]
    """Answer -> number of questions of the whole run."""
    facts: str
    answers: Sequence[ShownAnswer]
    matching: int
    verdict: str
    text: str
    offset: int
    earlier: str
    """Address of the previous page, or ""."""
    later: str


def shown_answers(result: BulkResult, given: MultiDict[str, str]) -> ShownAnswers:
    """Return the answers that match the filters in an address. Invalid filters are left out."""
    verdict = given.get("verdict", "") if given.get("verdict") in VERDICTS else ""
    text = given.get("text", "").strip()[:100]
    offset = int(number) if (number := given.get("offset", "0")[:6]).isdecimal() else 0
    matching = selected(result, verdict=verdict, text=text)
    offset = offset if offset < len(matching) else 0
    query = {name: value for name, value in (("verdict", verdict), ("text", text)) if value}

    def address(start: int) -> str:
        return f"/runs/{result.run_id}?{urlencode(query | {'offset': start})}"

    return ShownAnswers(
        counts={str(word): number for word, number in result.counts.items()},
        facts=result.facts,
        answers=[_shown(result, answer) for answer in matching[offset : offset + PAGE]],
        matching=len(matching),
        verdict=verdict,
        text=text,
        offset=offset,
        earlier=address(max(0, offset - PAGE)) if offset else "",
        later=address(offset + PAGE) if offset + PAGE < len(matching) else "",
    )


def _shown(result: BulkResult, answer: BulkAnswer) -> ShownAnswer:
    return ShownAnswer(
        answer.line,
        answer.verdict,
        answer.source,
        answer.destination,
        answer.source_port,
        fold(answer.services),
        stopped_by(result, answer),
        result.texts(answer.depends_on),
        ask_alone(answer),
    )
