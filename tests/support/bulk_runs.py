"""Bulk runs with an answer, which no bench gave."""

from __future__ import annotations

from ledger.runs.bulk import BulkRequest, numbered
from ledger.runs.records import Answer, Choice
from ledger.runs.run import Mode, Run
from ledger.store import Ledger
from netlab.results.bulk import BulkAnswer, BulkResult, encode_bulk
from tests.support.bulk_results import a_rule, cell
from tests.support.runs import a_request, leading, queue_of, worker_of

CAVEAT = "the route may change"


def questions(count: int) -> BulkRequest:
    """A bulk run with this number of questions, from 10.1.10.20 to 10.3.20.1 and so on."""
    asked = [a_request(services="443/tcp", destination=f"10.3.20.{number}") for number in range(1, count + 1)]
    return BulkRequest(tuple(numbered(asked)))


def result_of(run: Run, request: BulkRequest) -> BulkResult:
    """NO for every third question by a rule of dc-fw, UNKNOWN for the second one with a caveat, and otherwise YES."""
    answers = []
    for question in request.questions:
        asked, line = question.asked, question.line
        one = cell("NO", by="dc-fw", rule=0) if line % 3 == 0 else cell()
        one = cell("UNKNOWN", reason=CAVEAT) if line == 2 else one
        notes = (0,) if line == 2 else ()
        answers.append(
            BulkAnswer(line, asked.source, asked.destination, one.result, (one,), depends_on=notes, caveats=notes)
        )
    return BulkResult(
        run_id=run.id, facts="b17e42431a16", answers=tuple(answers), rules=(a_rule(),), notes=(CAVEAT,), schema=1
    )


def begun(ledger: Ledger, request: BulkRequest, *, user: str = "api", number: int = 0) -> Run:
    """A bulk run that its worker has begun."""
    run, _ = ledger.submit_bulk(request, user=user)
    queue = queue_of(Mode.BULK, number)
    ledger.announce(worker_of(queue), queue, Mode.BULK, 1)
    ledger.promote(leading(ledger), [Choice(run.id, Mode.BULK, queue)])
    started = ledger.begin(run.id, worker_of(queue))
    assert started is not None
    return started


def answered(ledger: Ledger, count: int = 12, *, user: str = "api") -> Run:
    """A bulk run with the answers of `result_of`."""
    request = questions(count)
    run = begun(ledger, request, user=user)
    result = result_of(run, request)
    counts = ", ".join(f"{number} {verdict}" for verdict, number in result.counts.items())
    answer = Answer(result.verdict, encode_bulk(result), stopped_by=counts, facts=result.facts)
    assert ledger.finish(run.id, run.token, answer)
    return ledger.run(run.id)
