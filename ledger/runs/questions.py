"""Reads the questions of a bulk run, for its worker and for the app."""

from __future__ import annotations

from ledger.redis import keys
from ledger.redis.part import LedgerPart
from ledger.runs.bulk import BulkQuestion, read_questions


class QuestionReading(LedgerPart):
    """Read-only."""

    def questions(self, run_id: str) -> tuple[BulkQuestion, ...]:
        """Return the questions of a bulk run, in order. Raises RunDamaged if they are missing or unreadable."""
        return read_questions(run_id, self.connection.lenient(lambda pipe: pipe.get(keys.questions(run_id))))
