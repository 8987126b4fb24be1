"""The questions of a bulk run, and how they are stored: one JSON document beside the record of the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ledger.errors import BadInput, RunDamaged
from ledger.runs.requests import RunRequest
from ledger.runs.run import Mode

QUESTIONS_MAX = 256
"""Maximum number of questions of a bulk run. It limits how long a detailed run waits for the end of a bulk run."""


@dataclass(frozen=True, slots=True)
class BulkQuestion:
    """One question of a bulk run. `line` is its line in what the user submitted, from 1."""

    line: int
    asked: RunRequest


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """A bulk run to submit: its questions, all in mode quick, and the snapshot to ask ("": the current one)."""

    questions: tuple[BulkQuestion, ...]
    snapshot: str = ""
    whole: str = ""
    """Digest of all questions of which these are a part; "": these are all of them."""

    def __post_init__(self) -> None:
        """Raise BadInput for a number of questions that one run cannot have, and for a question in another mode."""
        if not 1 <= len(self.questions) <= QUESTIONS_MAX:
            raise BadInput("questions", len(self.questions), f"a bulk run has 1 to {QUESTIONS_MAX} questions")
        for question in self.questions:
            if question.asked.mode is not Mode.QUICK:
                raise BadInput(
                    "mode", question.asked.mode, "a bulk run has only quick tests: submit it as a run of its own"
                )

    @property
    def document(self) -> str:
        """The questions as stored."""
        return json.dumps([_plain(question) for question in self.questions], separators=(",", ":"))

    @property
    def digest(self) -> str:
        """Short hash of the questions, which shows whether two requests are the same.

        Parts of different wholes differ, even if they have the same questions.
        """
        return _digest(self.document + self.whole)


def in_parts(questions: Sequence[BulkQuestion], snapshot: str = "") -> Iterator[BulkRequest]:
    """Yield bulk runs for all questions, in order: as few as possible, and of about the same size."""
    count = -(-len(questions) // QUESTIONS_MAX)
    whole = _digest(json.dumps([_plain(question) for question in questions])) if count > 1 else ""
    for part in range(count):
        first, last = len(questions) * part // count, len(questions) * (part + 1) // count
        yield BulkRequest(tuple(questions[first:last]), snapshot, whole)


def numbered(requests: Iterable[RunRequest]) -> list[BulkQuestion]:
    """Return questions with lines from 1."""
    return [BulkQuestion(line, request) for line, request in enumerate(requests, 1)]


def read_questions(run_id: str, document: str | None) -> tuple[BulkQuestion, ...]:
    """Read the stored questions of a run. Raises RunDamaged."""
    try:
        return tuple(_question(plain) for plain in json.loads(document or ""))
    except (ValueError, KeyError, TypeError) as wrong:
        raise RunDamaged(f"The questions of run {run_id} are damaged: submit them again.") from wrong


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(question: BulkQuestion) -> dict[str, object]:
    asked = question.asked
    plain: dict[str, object] = {
        "line": question.line,
        "source": asked.source,
        "destination": asked.destination,
        "services": ",".join(map(str, asked.services)),
    }
    return plain if asked.source_port is None else plain | {"source_port": asked.source_port}


def _question(plain: dict[str, object]) -> BulkQuestion:
    line = plain["line"]
    if not isinstance(line, int):
        raise TypeError("line is not a number")
    asked = RunRequest.parse(
        plain["source"], plain["destination"], plain["services"], Mode.QUICK, plain.get("source_port")
    )
    return BulkQuestion(line, asked)
