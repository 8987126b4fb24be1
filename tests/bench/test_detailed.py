"""Every hand-written detailed case against real connections: outcome, both paths, who blocked it and by which rule."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.bench.campus_cells import CELLS
from tests.bench.conftest import CAMPUS, Bench, as_json, parsed, running_bench
from tests.bench.detailed_cells import CAMPUS_REPLIES, CASES, Case
from tests.bench.detailed_networks import NETWORKS

Document = dict[str, Any]


def ask(bench: Bench, source: str, destination: str, services: str, source_port: int | None = None) -> Document:
    """The result document of one detailed run."""
    with bench.client.attempt(run_id="test", mode="detailed", lane=None, fence=next(bench.fences)) as attempt:
        result = attempt.detailed(
            source,
            destination,
            parsed(services),
            source_port=source_port,
            progress=lambda phase, percent, message: None,
        )
        return as_json(result)


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
    """What must be the same each time: outcome, paths, the blocking router, and every rule."""
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
    """Compare one service of a result with the expected rules."""
    assert service["outcome"] == case.outcome, service["sentence"]
    assert " ".join(service["path"]) == case.request, service["sentence"]
    assert " ".join(service["reply_path"]) == case.reply, service["sentence"]
    stopper = {"request": case.request, "reply": case.reply}.get(case.stopped, "").split()[-1:]
    direction = case.stopped.replace("nowhere", "request")
    assert (service["blocked_by"], service["blocked"] or "") == (stopper, direction), service["sentence"]
    assert service["result"] == ("YES" if case.outcome == "CONNECTED" else "NO")
    hops = by_router(service)
    expected = {**(CAMPUS_REPLIES if case.network == "campus" else {}), **case.rules}
    expected = {name: rule for name, rule in expected.items() if name in hops}
    assert {name: spelled(hops[name]["rule"]) for name in expected} == expected
    for name, change in case.nat.items():
        before, after = change.split(" => ")
        assert (hops[name]["nat"]["before"], hops[name]["nat"]["after"]) == (before, after), name
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
    assert {case.stopped for case in CASES} == {"", "request", "reply", "nowhere"}


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


def test_an_allowed_and_a_blocked_case_twenty_times(benches: dict[str, Bench]) -> None:
    bench = benches["campus"]
    for _ in range(20):
        assert ask(bench, "10.1.10.20", "10.3.20.8", "443/tcp")["services"][0]["outcome"] == "CONNECTED"
        assert ask(bench, "10.1.10.20", "10.3.20.8", "22/tcp")["services"][0]["blocked_by"] == ["dc-fw"]


def test_many_services_of_one_run_are_as_one_by_one(benches: dict[str, Bench]) -> None:
    for network in ("line", "there-and-back"):
        cases = [
            case for case in CASES if (case.network, case.source) == (network, "10.0.1.9") and not case.source_port
        ]
        cases = [case for case in cases if case.destination == "10.0.2.9"]
        services = ask(benches[network], "10.0.1.9", "10.0.2.9", ",".join(case.service for case in cases))["services"]
        assert len(cases) >= 7
        for case, service in zip(cases, services, strict=True):
            check(case, service)


def test_fifty_services_of_all_kinds(benches: dict[str, Bench]) -> None:
    names = ",".join(
        ["443/tcp", "80/tcp", "53/tcp", "icmp", "5060/udp", *(f"{port}/tcp" for port in range(2000, 2045))]
    )
    for _ in range(3):
        result = ask(benches["campus"], "10.1.10.20", "10.3.20.8", names)
        outcomes = [service["outcome"] for service in result["services"]]
        assert outcomes == ["CONNECTED"] * 4 + ["TIMEOUT"] * 46
        assert all(service["blocked_by"] == ["dc-fw"] for service in result["services"][5:])


SENTENCES = [
    (
        "campus", "10.1.10.20", "10.3.20.210", "443/tcp",
        'is blocked by dc-core, forward rule 4: ip daddr @quarantined log prefix '
        '"dc-core quarantined: " drop (dc-core/nft.rules:38).',
    ),
    (
        "campus", "10.2.20.7", "10.1.20.5", "443/tcp",
        "is blocked by wan-1, FORWARD rule 1: -s 10.2.20.0/24 -d 10.1.0.0/16 -j DROP (wan-1/iptables.rules:26); ",
    ),
    (
        "campus", "10.1.10.20", "10.3.20.8", "22/tcp",
        "is blocked by dc-fw, policy DROP of FORWARD (dc-fw/iptables.rules:4); dc-core, further along the path, would "
        "also block it.",
    ),
    (
        "campus", "10.1.10.20", "10.3.20.8", "25/tcp",
        "is rejected by hq-core, FORWARD → users-out rule 2: -p tcp -m tcp --dport 25 -j REJECT --reject-with tcp-reset "
        "(hq-core/iptables.rules:38)",
    ),
    (
        "campus", "10.2.20.7", "10.3.20.8", "8443/tcp",
        "fails: the request arrives, but the reply is dropped by br-lan, FORWARD rule 3: "
        "-i eth0 -o eth1.20 -p tcp -m tcp ! --dport 9100 -j DROP (br-lan/iptables.rules:17).",
    ),
    (
        "there-and-back", "10.0.1.9", "10.0.2.9", "53/udp",
        "fails: the request arrives, but the reply is rejected by r3, FORWARD rule 2: "
        "-p udp --sport 53 -j REJECT --reject-with icmp-port-unreachable (r3/iptables.rules:4).",
    ),
    ("campus", "10.1.10.20", "10.3.66.9", "80/tcp", "is blocked by wan-1: blackhole route to 10.3.66.9."),
    ("ways", "10.0.1.9", "10.77.0.1", "80/tcp", "fails: routing loop r1 → r2 → r1."),
    (
        "ways", "10.0.1.9", "10.0.1.1", "8444/tcp",  # 10.0.1.50 answers 10.0.1.9 directly, which asked 10.0.1.1
        "fails: the reply does not arrive: 10.0.1.9 and 10.0.1.50 are both on segment 10.0.1.0/24, and r1 changes only "
        "the destination: the reply goes directly to 10.0.1.9, past r1, which would have to undo its DNAT.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("network", "source", "destination", "service", "sentence"), SENTENCES)
def test_sentence_for_a_ticket(
    benches: dict[str, Bench], network: str, source: str, destination: str, service: str, sentence: str
) -> None:
    found = ask(benches[network], source, destination, service)["services"][0]["sentence"]
    assert found.startswith(f"{service} from {source} to {destination} {sentence}")


def test_sentence_of_what_works(benches: dict[str, Bench]) -> None:
    (service,) = ask(benches["campus"], "10.1.10.20", "10.3.80.10", "443/tcp")["services"]
    assert service["sentence"] == (
        "443/tcp from 10.1.10.20 to 10.3.80.10 works in both directions via hq-core, hq-gw, wan-2, dc-gw, dc-fw, "
        f"in {service['latency_ms']:.1f} ms."
    )
    (service,) = ask(benches["campus"], "10.1.10.20", "10.1.10.21", "icmp")["services"]
    assert "no router in between" in service["sentence"]


def test_quick_and_detailed_never_contradict_each_other(benches: dict[str, Bench]) -> None:
    bench = benches["campus"]
    for cell in Random(11).sample(CELLS, len(CELLS)):
        quick = bench.quick(cell.source, cell.destination, cell.service, source_port=cell.source_port)
        (walked,) = quick["services"]
        detailed = ask(bench, cell.source, cell.destination, cell.service, cell.source_port)
        (real,) = detailed["services"]
        way = [hop for hop in real["hops"] if hop["direction"] == "request"]
        looped = (walked["reason"] or "").startswith("routing loop")  # which a rule may end on the second round
        verdict_of = {(r["name"], r["in"]): r["services"][0]["result"] for r in quick["routers"]}
        for hop in way:
            agreed = verdict_of.get((hop["router"], hop["in"])) in (hop["result"], "UNKNOWN")
            explained = any(caveat.startswith(f"{hop['router']}, ") for caveat in detailed["caveats"])
            assert agreed or explained or looped or real["blocked_by"] == walked["blocked_by"][:1], (cell, hop)
        assert walked["path"][: len(way)] == [hop["router"] for hop in way] or looped, cell
        if walked["result"] == "NO":
            assert (real["result"], real["blocked"]) == ("NO", "request")
            assert real["blocked_by"] == walked["blocked_by"][:1] or looped, cell
        elif real["result"] == "NO":
            assert real["blocked"] == "reply" or any("the real connection says NO" in c for c in detailed["caveats"]), (
                cell
            )


def test_refusals_of_routes_do_not_run_out(benches: dict[str, Bench]) -> None:
    ports = ",".join(f"{port}/tcp" for port in range(80, 100))
    for _ in range(3):
        services = ask(benches["ways"], "10.0.1.9", "10.67.0.1", ports)["services"]
        assert {(s["outcome"], s["refused_by"]) for s in services} == {("UNREACHABLE", "r1")}


def test_refusals_of_rules_do_not_run_out(benches: dict[str, Bench]) -> None:
    ports = ",".join(f"{port}/tcp" for port in range(1000, 1050))
    for _ in range(4):
        services = ask(benches["campus"], "10.2.20.7", "10.2.10.9", ports)["services"]
        assert {(s["outcome"], s["refused_by"]) for s in services} == {("UNREACHABLE", "br-lan")}
