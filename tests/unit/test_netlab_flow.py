"""Requests, flows and the result document, without any network."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

import pytest

from netlab.facts.reader import NetworkFacts, RouterFacts
from netlab.packets.probe import Packet
from netlab.quick.answer import answer
from netlab.quick.flow import MAX_HOPS, BadQuestion, Flow, Question, Step
from netlab.results.document import NO, UNKNOWN, YES, QuickResult, Verdict
from netlab.rules.caveats import Caveats
from netlab.topology.segments import IfaceRef

SERVICES = ((80, "tcp"), (None, "icmp"))
NAMES = ("r1", "r2", "r3")
FACTS = NetworkFacts("n", "d", tuple(RouterFacts(name, (), (), None, "", "", "") for name in NAMES))


def packet(port: int = 80) -> Packet:
    return Packet.make("tcp", IPv4Address("10.0.1.9"), IPv4Address("10.0.2.9"), 50_000, port)


def flow(*steps: tuple[str, Verdict], reason: str = "", delivered: bool = True, port: int = 80) -> Flow:
    made = Flow((port, "tcp"), packet(port), 33)
    made.steps = [Step(router, "in", "out", result) for router, result in steps]
    made.delivered = delivered
    made.end(reason)
    return made


def question_of(
    source: str = "10.0.1.9",
    destination: str = "10.0.2.9",
    services: Sequence[tuple[int | None, str]] = SERVICES,
    source_port: int | None = None,
) -> Question:
    return Question.checked(source, destination, services, source_port, dscp=33)


def document(*flows: Flow) -> QuickResult:
    return answer(question_of(), list(flows), Caveats(FACTS), "d")


def test_a_question_is_checked() -> None:
    question = question_of()
    assert question.services == ((80, "tcp"), (None, "icmp"))
    assert question.dscp == 33
    assert question.source_port == 49152 + 33
    assert question_of(source_port=5).source_port == 5


def test_the_source_port_is_none_of_those_asked_about() -> None:
    services = [(port, "udp") for port in range(49185, 49285)]
    assert question_of(services=services).source_port == 49285


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "10.0.1"}, "source: '10.0.1' is not a valid IPv4 address"),
        ({"destination": "::1"}, "destination: '::1' is not a valid IPv4 address"),
        ({"services": []}, "services: 0 given; 1 to 100 are allowed"),
        ({"services": [(80, "tcp")] * 101}, "services: 101 given; 1 to 100 are allowed"),
        ({"services": [(80, "sctp")]}, "services: protocol 'sctp' is not one of tcp, udp, icmp"),
        ({"services": [(80, "icmp")]}, "services: port 80 is not valid for icmp"),
        ({"services": [(None, "udp")]}, "services: port None is not valid for udp"),
        ({"services": [(0, "udp")]}, "services: port 0 is not valid for udp"),
        ({"source_port": 65536}, "source_port: 65536 is not in the range 1-65535"),
        ({"source_port": 0}, "source_port: 0 is not in the range 1-65535"),
    ],
    ids=lambda part: str(part)[:60],
)
def test_a_bad_question(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadQuestion) as bad:
        question_of(**change)
    assert str(bad.value) == message


@pytest.mark.parametrize(
    ("made", "result", "blocked_by"),
    [
        (flow(("r1", YES), ("r2", YES)), YES, []),
        (flow(("r1", YES), ("r2", NO)), NO, ["r2"]),
        (flow(("r1", NO), ("r2", NO), ("r1", NO)), NO, ["r1", "r2"]),
        (flow(("r1", UNKNOWN), ("r2", YES)), UNKNOWN, []),
        (flow(("r1", UNKNOWN), ("r2", NO)), NO, ["r2"]),
        (flow(("r1", YES), reason="routing loop r1 → r1", delivered=False), NO, []),
        (flow(("r1", YES), reason="whatever", delivered=False), UNKNOWN, []),
        (flow(("r1", YES), reason="r1 itself owns it", delivered=True), YES, []),
        (flow(), YES, []),
    ],
)
def test_results(made: Flow, result: str, blocked_by: list[str]) -> None:
    assert (made.result, made.blocked_by) == (result, blocked_by)


def test_the_ttl_counts_routers_passed_but_not_the_one_that_sends() -> None:
    made = flow(("r1", YES), ("r2", YES))
    assert made.ttl == 62
    made.steps[0].in_iface = ""
    assert made.ttl == 63


def enter(made: Flow, router: str) -> None:
    made.enter(IfaceRef(router, "in"))
    if not made.ended:
        made.steps.append(Step(router, "in", "out", YES))


def test_a_loop_is_cut_before_its_repeat() -> None:
    made = Flow((80, "tcp"), packet(), 33)
    for router in ("r1", "r2", "r3", "r2"):
        enter(made, router)
    assert made.looped
    assert made.reason == "routing loop r2 → r3 → r2"
    assert made.path == ["r1", "r2", "r3"]


def test_the_same_router_with_a_changed_packet_is_no_loop() -> None:
    made = Flow((80, "tcp"), packet(), 33)
    enter(made, "r1")
    made.change(packet(8080))
    enter(made, "r1")
    assert not made.ended
    assert made.path == ["r1", "r1"]


def test_a_way_of_too_many_hops_is_a_loop() -> None:
    made = Flow((80, "tcp"), packet(), 33)
    for number in range(MAX_HOPS + 1):
        enter(made, f"r{number}")
    assert made.looped
    assert made.result == NO


def test_the_document() -> None:
    found = document(flow(("r1", YES), ("r2", NO)), flow(("r1", YES), ("r3", YES), port=443))
    assert (found.verdict, found.source, found.dscp, found.facts) == (NO, "10.0.1.9", 33, "d")
    assert found.path in (("r1", "r2"), ("r1", "r3"))
    assert [(r.name, r.hop, len(r.services)) for r in found.routers] == [
        ("r1", 1, 2),
        ("r2", 2, 1),
        ("r3", 2, 1),
    ]
    assert found.services[0].blocked_by == ("r2",)
    assert found.reason is None


@pytest.mark.parametrize(
    ("results", "verdict"),
    [((YES, YES), YES), ((YES, NO), NO), ((YES, UNKNOWN), UNKNOWN), ((UNKNOWN, NO), NO)],
)
def test_the_verdict_is_the_worst(results: tuple[Verdict, ...], verdict: Verdict) -> None:
    assert document(*(flow(("r1", result)) for result in results)).verdict == verdict


def test_a_reason_of_some_names_its_services() -> None:
    same = [flow(("r1", NO), reason="r1: no route", delivered=False, port=port) for port in (80, 443)]
    assert document(*same).reason == "r1: no route"
    assert document(*same, flow(("r1", YES), port=22)).reason == "80/tcp, 443/tcp: r1: no route"


def test_notes_are_named_once() -> None:
    noted = [flow(("r1", YES)), flow(("r1", YES))]
    for made in noted:
        made.notes.append("r1 did something")
    assert document(*noted).caveats == (
        "r1 did something",
        "forwarding is assumed to be on and rp_filter off, without netconf.json: r1",
    )
