"""Compares the answers before and after a change. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from msgspec.structs import replace

from app.answers.impact.document import (
    GAINED,
    LOST,
    OTHER_RULE,
    REROUTED,
    SAME,
    UNDETERMINED,
    CellAnswer,
    CellChange,
    Class,
    Impact,
    ImpactCounts,
)
from app.answers.impact.words import sentence, summary, without_lines
from ledger.errors import ReachqError
from netlab.facts.changes.document import FactsChanges
from netlab.facts.meaning import nft
from netlab.results.bulk import BulkAnswer, BulkResult, BulkService
from netlab.results.document import NO, UNKNOWN, YES, Rule
from netlab.results.services import service_name


class AnswersDoNotMatch(ReachqError):
    """The answers before and after the change are not those of the same questions."""

    code = "answers-do-not-match"


Decider = tuple[object, ...]
"""What a rule says and where in the chains it is, without its number, file and line."""


class _Run:
    """One run of one side, with its rules and caveats in a form that can be compared."""

    def __init__(self, result: BulkResult) -> None:
        self.result = result

    @cached_property
    def rules(self) -> tuple[Decider, ...]:
        return tuple(map(_meaning, self.result.rules))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        return tuple(map(without_lines, self.result.notes))

    def noted(self, answer: BulkAnswer) -> tuple[frozenset[str], frozenset[str]]:
        """Return the caveats on which an answer depends, and all its caveats, without line numbers."""
        depends_on, caveats = answer.depends_on, answer.caveats
        return frozenset(self.notes[n] for n in depends_on), frozenset(self.notes[n] for n in caveats)


class _Cell(NamedTuple):
    """One service of one question on one side."""

    run: _Run
    answer: BulkAnswer
    service: BulkService

    @property
    def decider(self) -> tuple[str, Decider | None, str]:
        """Return what decided about a blocked packet: the first router, and its rule or the reason."""
        service = self.service
        rule = None if service.rule is None else self.run.rules[service.rule]
        reason = "" if rule else without_lines(service.reason or "")
        return service.blocked_by[0] if service.blocked_by else "", rule, reason

    @property
    def document(self) -> CellAnswer:
        """The cell as the document has it."""
        result, service = self.run.result, self.service
        return CellAnswer(
            service.result,
            service.path,
            service.blocked_by,
            result.rule_of(service),
            service.reason,
            result.texts(self.answer.depends_on),
            result.texts(self.answer.caveats),
        )


Answers = Mapping[int, tuple[_Run, BulkAnswer]]
"""{line: the answer for its question, with its run}."""


def compare(
    before: Sequence[BulkResult],
    after: Sequence[BulkResult],
    changes: FactsChanges,
    *,
    guarded: Collection[int] = frozenset(),
) -> Impact:
    """Return the impact of a change on the same questions, tested before and after it.

    Each side may be split in several runs. Questions are matched by their line. `guarded` has the lines of management
    flows. Raises AnswersDoNotMatch if a question was answered on only one side or twice, if the questions of a line
    differ, if the runs of one side come from different facts, and if no question was asked, or none for a guarded line.
    """
    was, now = _answers(before, "before"), _answers(after, "after")
    _check_lines(was, now, guarded)
    counted: Counter[str] = Counter(questions=len(was))
    cells: list[CellChange] = []
    noted: list[CellChange] = []
    for kind, old, new, differs in _compared(was, now):
        counted[kind.replace("-", "_")] += 1
        counted["unknown"] += kind == SAME and new.service.result == UNKNOWN
        if kind == SAME and not differs:
            continue
        change = _change(kind, old, new, guarded=old.answer.line in guarded)
        counted["noted"] += kind == SAME
        counted["lock_outs"] += change.lock_out
        (noted if kind == SAME else cells).append(change)
    counts = ImpactCounts(**counted)
    return Impact(
        summary=summary(counts),
        before=before[0].facts,
        after=after[0].facts,
        counts=counts,
        cells=tuple(cells),
        noted=tuple(noted),
        changes=changes,
    )


def _answers(results: Sequence[BulkResult], side: str) -> Answers:
    """Return the answers of one side by line, in the order of the lines."""
    if len({result.facts for result in results}) > 1:
        hashes = ", ".join(dict.fromkeys(result.facts for result in results))
        raise AnswersDoNotMatch(f"The answers {side} the change come from different facts ({hashes}).")
    found: dict[int, tuple[_Run, BulkAnswer]] = {}
    for run in map(_Run, results):
        for answer in run.result.answers:
            if answer.line in found:
                raise AnswersDoNotMatch(f"The question on line {answer.line} has two answers {side} the change.")
            found[answer.line] = run, answer
    if not found:
        raise AnswersDoNotMatch(f"There are no answers {side} the change.")
    return dict(sorted(found.items()))


def _check_lines(was: Answers, now: Answers, guarded: Collection[int]) -> None:
    """Raise AnswersDoNotMatch if a line is missing on one side, or if a guarded line is not among the questions."""
    for lines, side in ((was.keys() - now.keys(), "after"), (now.keys() - was.keys(), "before")):
        if lines:
            raise AnswersDoNotMatch(f"{_questions(lines)} no answer {side} the change.")
    if missing := set(guarded) - was.keys():
        raise AnswersDoNotMatch(f"{_questions(missing)} no answer, but must be asked: they are management flows.")


def _questions(lines: Iterable[int]) -> str:
    first, *more = sorted(lines)
    if not more:
        return f"The question on line {first} has"
    return f"{1 + len(more)} questions, the first on line {first}, have"


def _compared(was: Answers, now: Answers) -> Iterator[tuple[Class, _Cell, _Cell, bool]]:
    """Yield (class, cell before, cell after, whether something else differs) for each cell."""
    for line, (run_before, before) in was.items():
        run_after, after = now[line]
        services = _services(after)
        if _question(before) != _question(after) or services.keys() != _services(before).keys():
            raise AnswersDoNotMatch(f"Line {line} is not the same question before and after the change.")
        other_notes = run_before.noted(before) != run_after.noted(after)
        for name, service in _services(before).items():
            old, new = _Cell(run_before, before, service), _Cell(run_after, after, services[name])
            kind = _class(old, new)
            others = (service.path, service.blocked_by) != (new.service.path, new.service.blocked_by)
            yield kind, old, new, others or other_notes


def _question(answer: BulkAnswer) -> tuple[str, int | None, str]:
    return answer.source, answer.source_port, answer.destination


def _services(answer: BulkAnswer) -> dict[str, BulkService]:
    services = {service_name(service): service for service in answer.services}
    if len(services) != len(answer.services):
        raise AnswersDoNotMatch(f"The question on line {answer.line} has two answers for one service.")
    return services


def _class(old: _Cell, new: _Cell) -> Class:
    """Return the class of one cell; the table is in the docstring of the package."""
    before, after = old.service, new.service
    results = before.result, after.result
    if UNKNOWN in results:
        alike = before.result == after.result and before.path == after.path and old.decider == new.decider
        return SAME if alike else UNDETERMINED
    if results == (YES, YES):
        return SAME if before.path == after.path else REROUTED
    if results == (NO, NO):
        return SAME if old.decider == new.decider else OTHER_RULE
    return LOST if results == (YES, NO) else GAINED


def _change(kind: Class, old: _Cell, new: _Cell, *, guarded: bool) -> CellChange:
    before, after, answer = old.document, new.document, old.answer
    change = CellChange(
        kind=kind,
        line=answer.line,
        source=answer.source,
        source_port=answer.source_port,
        destination=answer.destination,
        port=old.service.port,
        protocol=old.service.protocol,
        guarded=guarded,
        lock_out=guarded and after.result != YES and before.result != after.result,
        before=before,
        after=after,
        sentence="",
    )
    return replace(change, sentence=sentence([change]))


def _meaning(rule: Rule) -> Decider:
    """Return a rule without its number, file, line and counters. The text of a policy has only counters besides it."""
    text = rule.text or ""
    if not text.startswith("-A "):
        text = nft.meaning(text).decode()
    where = (rule.family, rule.table, rule.chains, rule.hook)
    return (*where, rule.verdict, rule.policy, "" if rule.policy else text)
