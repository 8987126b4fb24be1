"""The result of a bulk run: a short answer for each of its questions. Pure.

A short answer has the result, the path and the first deciding rule of each service. Rules and caveats that many answers
share are stored once, and answers refer to them by position. Ask a question alone for its full result.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from netlab.results.codec import BadDocument
from netlab.results.document import NO, WORST_FIRST, YES, QuickResult, Rule, Verdict

BULK_SCHEMA = 1


class BulkService(Struct, frozen=True, omit_defaults=True, gc=False):
    """The answer for one service of a question."""

    port: Annotated[int, Meta(ge=1, le=65535)] | None
    protocol: str
    result: Verdict
    path: tuple[str, ...] = ()
    """The routers that the packet passed, in order."""
    blocked_by: tuple[str, ...] = ()
    """The routers that blocked it, the first one first."""
    reason: str | None = None
    """The reason, if no rule blocked it."""
    rule: int | None = None
    """Position in `BulkResult.rules` of the rule by which the first router blocked it."""


class BulkAnswer(Struct, frozen=True, omit_defaults=True, gc=False):
    """The answers for one question."""

    line: int
    """Line of the question in what the user submitted, from 1."""
    source: str
    destination: str
    verdict: Verdict
    """The worst result of its services."""
    services: tuple[BulkService, ...]
    source_port: int | None = None
    depends_on: tuple[int, ...] = ()
    """Positions in `BulkResult.notes` of the caveats that could change the answer."""
    caveats: tuple[int, ...] = ()
    """Positions in `BulkResult.notes` of all caveats."""


class BulkResult(Struct, frozen=True, kw_only=True, tag_field="mode", tag="bulk"):
    """The answers of a bulk run, in the order of its questions. All of them come from the same facts."""

    run_id: str
    facts: str
    """Hash of the facts that were tested."""
    answers: tuple[BulkAnswer, ...]
    rules: tuple[Rule, ...] = ()
    notes: tuple[str, ...] = ()
    timing_ms: dict[str, float] = {}
    schema: int = 0
    """Version of this format."""

    @property
    def verdict(self) -> Verdict:
        """The worst answer."""
        given = {answer.verdict for answer in self.answers}
        return next((verdict for verdict in WORST_FIRST if verdict in given), YES)

    @property
    def counts(self) -> dict[Verdict, int]:
        """Number of questions by their answer; those without an answer are left out."""
        counted = Counter(answer.verdict for answer in self.answers)
        return {verdict: counted[verdict] for verdict in reversed(WORST_FIRST) if counted[verdict]}

    def rule_of(self, service: BulkService) -> Rule | None:
        """Return the rule that blocked a service first, or None if no rule did."""
        return None if service.rule is None else self.rules[service.rule]

    def texts(self, positions: tuple[int, ...]) -> tuple[str, ...]:
        """Return the caveats at these positions."""
        return tuple(self.notes[position] for position in positions)


class BulkAnswers:
    """Collects the results of questions into a BulkResult."""

    def __init__(self) -> None:
        self._answers: list[BulkAnswer] = []
        self._rules: dict[Rule, int] = {}
        self._notes: dict[str, int] = {}
        self._facts = ""

    def add(self, line: int, result: QuickResult) -> None:
        """Add the result of the question on this line. Raises ValueError if it comes from other facts than the others."""
        if self._facts and result.facts != self._facts:
            raise ValueError(f"an answer comes from the facts {result.facts}, and the others from {self._facts}")
        self._facts = result.facts
        rules = {
            (router.name, cell.port, cell.protocol): cell.rule
            for router in result.routers
            for cell in router.services
            if cell.result == NO and cell.rule
        }
        services = []
        for service in result.services:
            rule = rules.get((service.blocked_by[0], service.port, service.protocol)) if service.blocked_by else None
            services.append(
                BulkService(
                    service.port,
                    service.protocol,
                    service.result,
                    service.path,
                    service.blocked_by,
                    service.reason,
                    None if rule is None else self._rules.setdefault(rule, len(self._rules)),
                )
            )
        self._answers.append(
            BulkAnswer(
                line,
                result.source,
                result.destination,
                result.verdict,
                tuple(services),
                result.source_port,
                self._noted(result.depends_on),
                self._noted(result.caveats),
            )
        )

    def result(self, run_id: str, timing_ms: dict[str, float]) -> BulkResult:
        """Return everything that was added."""
        return BulkResult(
            run_id=run_id,
            facts=self._facts,
            answers=tuple(self._answers),
            rules=tuple(self._rules),
            notes=tuple(self._notes),
            timing_ms=timing_ms,
            schema=BULK_SCHEMA,
        )

    def _noted(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self._notes.setdefault(text, len(self._notes)) for text in texts)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(BulkResult)


def encode_bulk(result: BulkResult) -> bytes:
    """Encode the result as JSON."""
    return _encoder.encode(result)


def decode_bulk(text: bytes | str) -> BulkResult:
    """Decode a JSON document. Raises BadDocument."""
    try:
        result = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise BadDocument(str(bad)) from None
    for number, answer in enumerate(result.answers):
        rules = [service.rule for service in answer.services if service.rule is not None]
        if any(not 0 <= position < len(result.rules) for position in rules):
            raise BadDocument(f"answers[{number}] names a rule that is not in the document")
        if any(not 0 <= position < len(result.notes) for position in (*answer.depends_on, *answer.caveats)):
            raise BadDocument(f"answers[{number}] names a caveat that is not in the document")
    return result
