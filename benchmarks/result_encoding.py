"""What the result document costs as JSON: json of plain dicts, msgspec (in use) and pydantic, on a real result.

    .venv/bin/python -m benchmarks.result_encoding [--rounds 300]

The document is a quick run about 40 services over six routers. Making the objects is measured too, since a bench makes
one for each service and router.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, TypeAdapter

from benchmarks.tables import ratio, table
from netlab.results.codec import decode, encode
from netlab.results.document import YES, Cell, QuickResult

SAMPLE = Path(__file__).parents[1] / "tests" / "unit" / "samples" / "quick-many.json"


class PydanticCell(BaseModel):
    """The same fields as Cell."""

    port: int | None
    protocol: str
    result: str
    rule: dict[str, Any] | None = None


class PydanticResult(BaseModel):
    """Enough of a quick result to compare: its cells are most of it."""

    run_id: str
    verdict: str
    routers: list[dict[str, str | int | list[PydanticCell] | None]]
    services: list[dict[str, Any]]


def timed(call: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each call."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def main(rounds: int) -> None:
    """Print the table."""
    raw = SAMPLE.read_bytes()
    plain, typed = json.loads(raw), decode(raw)
    adapter = TypeAdapter(PydanticResult)
    modelled = adapter.validate_json(raw)
    ways: dict[str, tuple[Callable[[], object], Callable[[], object], Callable[[], object]]] = {
        "json of dicts": (
            lambda: [{"port": n, "protocol": "tcp", "result": YES} for n in range(240)],
            lambda: json.dumps(plain),
            lambda: json.loads(raw),
        ),
        "msgspec": (
            lambda: [Cell(n, "tcp", YES) for n in range(240)],
            lambda: encode(typed),
            lambda: msgspec.json.decode(raw, type=QuickResult),
        ),
        "pydantic": (
            lambda: [PydanticCell(port=n, protocol="tcp", result=YES) for n in range(240)],
            lambda: adapter.dump_json(modelled),
            lambda: adapter.validate_json(raw),
        ),
    }
    measured = {name: [timed(call, rounds) for call in calls] for name, calls in ways.items()}
    reference = measured["json of dicts"]
    rows = [
        [name, *(cell for n, times in enumerate(columns) for cell in (_us(times), ratio(times, reference[n])))]
        for name, columns in measured.items()
    ]
    columns = ["median µs", "make 240 cells", "ratio", "encode", "ratio", "decode", "ratio"]
    print(table(f"A result of {len(raw)} bytes", columns, rows))


def _us(times: list[float]) -> str:
    return f"{sorted(times)[len(times) // 2] * 1e6:.0f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=300)
    main(parser.parse_args().rounds)
