"""Every hand-written detailed case against real connections: outcome, both ways, who stopped it and by which rule."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.bench.conftest import CAMPUS, Bench, parse, running_bench
from tests.bench.detailed_cells import CAMPUS_REPLIES, CASES, Case
from tests.bench.detailed_networks import NETWORKS

Document = dict[str, Any]


def ask(bench: Bench, source: str, destination: str, services: str, source_port: int | None = None) -> Document:
    """The result document of one detailed run."""
    with bench.client.attempt(run_id="test", mode="detailed", lane=None, fence=next(bench.fences)) as attempt:
        return attempt.detailed(
            source=source,
            destination=destination,
            services=[parse(service) for service in services.split(",")],
            source_port=source_port,
            progress=lambda phase, percent, message: None,
        )


def spelled(rule: Document | None) -> str | None:
    """A rule as the cases spell it: "FORWARD outer 4 iptables:38 ACCEPT"."""
    if rule is None:
        return None
    number = "policy" if rule["policy"] else rule["number"]
    file = str(rule["file"]).split("/")[-1].removesuffix(".rules")
    return f"{' '.join(rule['chains'])} {number} {file}:{rule['line']} {rule['verdict']}"


def by_router(service: Document) -> dict[str, Document]:
    """`router`, `router#2` on the second visit, `<router` on the way back -> its hop."""
    found: dict[str, Document] = {}
    for hop in service["hops"]:
        name = ("<" if hop["direction"] == "reply" else "") + hop["router"]
        again = next(n for n in count(1) if (f"{name}#{n}" if n > 1 else name) not in found)
        found[f"{name}#{again}" if again > 1 else name] = hop
    return found


def seen(service: Document) -> tuple[object, ...]:
    """What must be the same each time: outcome, ways, who stopped it, and every rule."""
    rules = {name: spelled(hop["rule"]) for name, hop in by_router(service).items()}
    return (
        service["outcome"],
        tuple(service["path"]),
        tuple(service["reply_path"]),
        tuple(service["blocked_by"]),
        service["blocked"],
        rules,
    )


def check(case: Case, service: Document) -> None:
    """Compare one service of a result with what the rules say."""
    assert service["outcome"] == case.outcome, service["sentence"]
    assert " ".join(service["path"]) == case.request, service["sentence"]
    assert " ".join(service["reply_path"]) == case.reply, service["sentence"]
    stopper = {"request": case.request, "reply": case.reply, "": ""}[case.stopped].split()[-1:]
    assert (service["blocked_by"], service["blocked"] or "") == (stopper, case.stopped), service["sentence"]
    assert service["result"] == ("YES" if case.outcome == "CONNECTED" else "NO")
    hops = by_router(service)
    expected = {**(CAMPUS_REPLIES if case.network == "campus" else {}), **case.rules}
    expected = {name: rule for name, rule in expected.items() if name in hops}
    assert {name: spelled(hops[name]["rule"]) for name in expected} == expected
    for name, change in case.nat.items():
        before, after = change.split(" => ")
        assert hops[name]["nat"] == {"before": before, "after": after}, name
    if case.nat:
        assert {name for name, hop in hops.items() if hop["nat"] and not name.startswith("<")} == {
            name for name in case.nat if not name.startswith("<")
        }


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bench]]:
    """One bench for each network of the cases."""
    with contextlib.ExitStack() as stack:
        started = {"campus": stack.enter_context(running_bench(CAMPUS))}
        for name, write in NETWORKS.items():
            folder: Path = tmp_path_factory.mktemp(name)
            write(folder)
            started[name] = stack.enter_context(running_bench(folder))
        yield started


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 70
    assert {case.outcome for case in CASES} == {"CONNECTED", "REFUSED", "TIMEOUT", "UNREACHABLE"}
    assert {case.stopped for case in CASES} == {"", "request", "reply"}


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.network}-{c.source}-{c.destination}-{c.service}")
def test_case_twice_in_a_row(benches: dict[str, Bench], case: Case) -> None:
    for _ in range(2):
        result = ask(benches[case.network], case.source, case.destination, case.service, case.source_port)
        (service,) = result["services"]
        check(case, service)
        assert result["verdict"] == service["result"]


def test_every_case_again_in_random_order(benches: dict[str, Bench]) -> None:
    for case in Random(3).sample(CASES, len(CASES)):
        result = ask(benches[case.network], case.source, case.destination, case.service, case.source_port)
        check(case, result["services"][0])
