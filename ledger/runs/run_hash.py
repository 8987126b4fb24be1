"""Converts a run's record between a Redis HASH and a `Run`.

A HASH contains only text: empty fields are left out, and services are written as `443/tcp,icmp`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from ledger.errors import RunDamaged
from ledger.runs.bulk import BulkRequest
from ledger.runs.requests import RunRequest
from ledger.runs.run import Run, Service
from ledger.runs.soundness import fault_of, is_service

_IDS = uuid.UUID("8b0f5c3e-6d0f-5a53-9a53-3c8d1a7c0a11")
"""UUID namespace of the run ids made from an Idempotency-Key."""


def new_id(user: str, idempotency_key: str) -> str:
    """Return a new run id. With an idempotency key, it is always the same id for this user and key."""
    if not idempotency_key:
        return str(uuid.uuid4())
    owner = hashlib.sha256(user.encode()).hexdigest()
    return str(uuid.uuid5(_IDS, f"{owner} {idempotency_key}"))


def asked(request: RunRequest) -> dict[str, str]:
    """Return the request fields of the record. Two requests are equal if these fields are equal."""
    return {
        "source": request.source,
        "destination": request.destination,
        "services": ",".join(str(service) for service in request.services),
        "source_port": "" if request.source_port is None else str(request.source_port),
    }


def asked_in_bulk(request: BulkRequest) -> dict[str, str]:
    """Return the request fields of the record of a bulk run: those of its first question, and what identifies them all."""
    return {
        **asked(request.questions[0].asked),
        "questions": str(len(request.questions)),
        "digest": request.digest,
        "snapshot": request.snapshot,
    }


def decode(run_id: str, record: Mapping[str, Any]) -> Run:
    """Decode the `Run` in a HASH. Raises RunDamaged, naming the field, if the HASH is invalid."""
    try:
        services = tuple(map(_service, record["services"].split(",")))
        return Run.model_validate({**record, "id": run_id, "services": services})
    except (KeyError, ValueError) as wrong:
        fault = fault_of({name.encode(): str(value).encode() for name, value in record.items()})
        raise RunDamaged(f"The record of run {run_id} is damaged: {fault or wrong}.") from wrong


def sound(records: Iterable[tuple[str, Any]]) -> list[Run]:
    """Return the valid runs among (id, HASH) pairs, in order.

    Leaves out deleted and damaged runs, and keys that are not a HASH (None).
    """
    runs = []
    for run_id, record in records:
        if record:
            with suppress(RunDamaged):
                runs.append(decode(run_id, record))
    return runs


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """Decode the name, value, name, value … list that a script returns for a HASH."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def groups(flat: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Split a flat reply of a script into records of `size`."""
    return zip(*(flat[i::size] for i in range(size)), strict=True)


@lru_cache(maxsize=1024)
def _service(text: str) -> Service:
    if not is_service(text):
        raise ValueError(f"{text!r} is not a service")
    port, slash, protocol = text.partition("/")
    return Service(port=int(port), protocol=protocol) if slash else Service(port=None, protocol=port)
