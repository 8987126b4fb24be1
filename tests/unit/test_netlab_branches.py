"""Several possible paths of one service, without any network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from netlab.packets.probe import Packet
from netlab.quick.branches import Alternative, unite, walk_branches
from netlab.quick.flow import Branch, Choice, Flow, Step
from netlab.quick.outcomes import unsure
from netlab.quick.walk import unite_ways
from netlab.results.document import NO, UNKNOWN, YES, Verdict
from netlab.topology.ingress import Ingress
from netlab.topology.segments import IfaceRef

QUESTION = "the next hop of r1"


def flow(*steps: tuple[str, Verdict], reason: str = "", delivered: bool = True) -> Flow:
    made = Flow((80, "tcp"), Packet.make("tcp", IPv4Address("10.0.1.9"), IPv4Address("10.0.2.9"), 50_000, 80), 33)
    made.steps = [Step(router, "in", "out", result) for router, result in steps]
    made.delivered = delivered
    made.end(reason)
    return made


def branch(option: str, made: Flow) -> Branch:
    return Branch((Choice(QUESTION, option),), made)


def test_one_branch_is_the_answer() -> None:
    only = flow(("r1", YES))
    assert unite([branch("a", only)]) is only


def test_branches_with_the_same_answer_are_one_answer() -> None:
    united = unite([branch("a", flow(("r1", YES), ("r2", YES))), branch("b", flow(("r1", YES), ("r3", YES)))])
    assert united.result == YES
    assert united.path == ["r1", "r2"]
    assert united.notes == [
        "the answer is the same whatever the next hop of r1 is (YES for a, b); one of these paths is shown"
    ]
    assert united.assumptions == []


@pytest.mark.parametrize("reverse", [False, True])
def test_branches_with_different_answers_are_unknown(reverse: bool) -> None:
    branches = [
        branch("a", flow(("r1", YES), ("r2", YES))),
        branch("b", flow(("r1", YES), ("r3", NO))),
        branch("c", flow(("r1", YES), reason="routing loop r1 → r4 → r1", delivered=False)),
    ]
    united = unite(branches[::-1] if reverse else branches)
    assert (united.result, united.path, united.blocked_by) == (UNKNOWN, ["r1"], [])
    assert "depends on the next hop of r1: " in united.reason
    for part in ("YES for a", "NO for b: blocked by r3", "NO for c: routing loop r1 → r4 → r1"):
        assert part in united.reason


def test_where_the_router_of_the_fork_itself_decides_its_cell_is_unknown() -> None:
    united = unite([branch("a", flow(("r1", YES))), branch("b", flow(("r1", NO)))])
    assert [(step.router, step.result) for step in united.steps] == [("r1", UNKNOWN)]


def test_a_reason_names_few_of_many_branches() -> None:
    united = unite([branch(str(n), flow(("r1", YES if n else NO))) for n in range(20)])
    assert "YES for 1, 2, 3, 4, 5, 6, 7, 8 and 11 more" in united.reason


@dataclass(frozen=True)
class Turn:
    """An alternative that the fake network below notes while it is chosen."""

    router: str
    to: str

    @property
    def choice(self) -> Choice:
        """As reasons name it."""
        return Choice(f"the next hop of {self.router}", self.to)

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Note it."""
        assert self.router not in pinned
        pinned[self.router] = self.to
        yield
        del pinned[self.router]


pinned: dict[str, str] = {}


def explore(links: dict[str, list[str]], at_most: int = 64) -> list[Branch]:
    """All branches of a network that is a graph; a router without links delivers."""

    def advance(flows: Sequence[Flow]) -> None:
        for made in flows:
            made.steps.append(Step(made.router, "in", "out", YES))
            to = links.get(made.router)
            if not to:
                made.delivered = True
                made.end()
            else:
                made.router = pinned.get(made.router, to[0])

    def fork(before: Flow, after: Flow) -> list[Alternative]:
        return [Turn(before.router, to) for to in links.get(before.router, [])]

    start = flow()
    start.ended, start.delivered, start.router = False, False, "a"
    (branches,) = walk_branches([start], advance, fork, at_most=at_most)
    return branches


def test_every_combination_is_walked() -> None:
    branches = explore({"a": ["b", "c"], "b": ["d"], "c": ["e", "f"], "d": ["g", "h"]})
    assert sorted("".join(branch.flow.path) for branch in branches) == ["abdg", "abdh", "ace", "acf"]
    assert {choice.question for branch in branches for choice in branch.choices} == {
        "the next hop of a",
        "the next hop of c",
        "the next hop of d",
    }
    assert unite(branches).result == YES


def test_too_many_branches_are_unknown() -> None:
    links = {chr(97 + n): [chr(98 + n), chr(98 + n)] for n in range(1)} | {"b": ["c", "d", "e"], "c": ["f", "g"]}
    links["a"] = ["b", "c"]
    branches = explore(links, at_most=3)
    assert len(branches) <= 4
    united = unite(branches)
    assert united.result == UNKNOWN
    assert "more than 3 possible paths" in united.reason


def test_an_unsure_result_of_one_entry_stays_unsure() -> None:
    """A port that NAT chooses makes the result of the first entry unsure, although each of its next hops says YES."""
    doubtful = flow(("r1", YES))
    doubtful.paths = [branch("a", flow(("r1", YES))), branch("b", flow(("r1", YES)))]
    unsure(doubtful, "r1", "the port that it chooses decides")
    entry = Ingress.at_one_of([IfaceRef("r1", "wan"), IfaceRef("r2", "wan")], "the edge")
    (united,) = unite_ways(entry, [[doubtful], [flow(("r2", YES))]])
    assert united.result == UNKNOWN
    assert "UNKNOWN for r1:wan: r1: the port that it chooses decides; YES for r2:wan" in united.reason
