"""The request and the reply of a batch, and the query for its answers, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.api.documents import RunDocument
from app.api.request_models import DESTINATION, SERVICES, SOURCE, SOURCE_PORT, Number
from app.http.problems import bad_fields
from app.rows import ROWS_MAX
from ledger.errors import BadInput
from ledger.runs.requests import RunRequest, examine


class QuestionBody(BaseModel):
    """One question of a batch; ledger.runs.requests checks the values, as for every other input."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[object, WithJsonSchema(SOURCE)]
    destination: Annotated[object, WithJsonSchema(DESTINATION)]
    services: Annotated[object, WithJsonSchema(SERVICES)]
    source_port: Annotated[object, WithJsonSchema(SOURCE_PORT)] = None


class BatchBody(BaseModel):
    """The body of `POST /api/batches`. All questions are quick tests."""

    model_config = ConfigDict(extra="forbid")

    questions: list[QuestionBody] = Field(min_length=1, max_length=ROWS_MAX)
    snapshot: str = Field(
        "",
        pattern="^([0-9a-f]{4,64}|current)?$",
        description="facts hash of the snapshot to ask, or the start of it; empty: the facts that the bench has",
    )

    def requests(self) -> list[RunRequest]:
        """Return the validated questions. Raises ApiProblem 422 naming every invalid field of every question."""
        requests, wrong = [], list[BadInput]()
        for number, given in enumerate(self.questions):
            request, bad = examine(given.source, given.destination, given.services, "quick", given.source_port)
            if request is not None:
                requests.append(request)
            wrong += [BadInput(f"questions.{number}.{one.field}", one.value, one.remedy) for one in bad]
        if wrong:
            raise bad_fields(wrong)
        return requests


class BatchDocument(BaseModel):
    """The bulk runs of a batch, in the order of its questions."""

    runs: list[RunDocument]


class AnswersQuery(BaseModel):
    """Which answers of a bulk run to return."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["YES", "NO", "UNKNOWN"] | None = Field(None, description="only this answer")
    text: str = Field(
        "", max_length=200, description="only answers with all these words in addresses, services, router or rule place"
    )
    offset: Number = Field(0, ge=0, le=10_000_000, description="number of matching answers to skip")
    limit: Number = Field(100, ge=1, le=500, description="maximum number of answers to return")
