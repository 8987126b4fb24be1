"""Several possible paths of one service: every choice that the facts allow is tested, and the results are united.

A router with several next hops chooses one by a hash, a rule may decide by chance, and a host may have one of several
gateways. Each such choice is a fork: the service is tested once for each alternative. If all results are the same, this
is the result of the service. If they differ, its result is UNKNOWN, and the reason has the result of each alternative.

    fork: alternatives ──▶ walk_branches: one Branch for each combination ──▶ unite: one Flow
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from netlab.quick.flow import Branch, Choice, Flow, Step
from netlab.results.document import NO, UNKNOWN, YES, Verdict

MAX_BRANCHES = 64
"""Maximum number of branches of one service. With more, the result is UNKNOWN even if the tested branches agree."""
CHUNK = 400
"""Maximum number of services sent at once. Before the next ones are sent, their records in the routers' sets are read.
"""
_SHOWN = 8
"""Maximum number of branches with the same result that a reason lists."""


class Alternative(Protocol):
    """One alternative at a fork. It is hashable, and equal for all services that would take the same alternative."""

    @property
    def choice(self) -> Choice:
        """The choice with this alternative as its option, for reasons."""

    def chosen(self) -> AbstractContextManager[object]:
        """Make the router use this alternative for all packets that are sent within the `with` block."""


Fork = Callable[[Flow, Flow], Sequence[Alternative]]
"""(a service before its next router, the same service after it) -> the alternatives there. Without a fork, at most one.
"""


def walk_branches(
    starts: Sequence[Flow], advance: Callable[[Sequence[Flow]], None], fork: Fork, *, at_most: int = MAX_BRANCHES
) -> list[list[Branch]]:
    """Follow every service through all its forks. Return the branches of each service, in the order of `starts`.

    `advance` sends services into their next router and moves each by one step. If a service would have more than
    `at_most` branches, the branch at that fork is not split: it ends as UNKNOWN.
    """
    ended: list[list[Branch]] = [[] for _ in starts]
    counts = [1] * len(starts)
    active = [(number, Branch((), flow)) for number, flow in enumerate(starts)]
    while active:
        waiting, active = active[CHUNK:], active[:CHUNK]
        for number, branch in active:
            if branch.flow.ended:
                ended[number].append(branch)
        active = [(number, branch) for number, branch in active if not branch.flow.ended]
        before = [branch.flow.copy() for _, branch in active]
        advance([branch.flow for _, branch in active])
        following: list[tuple[int, Branch]] = []
        forked: dict[Alternative, list[tuple[int, Branch]]] = {}
        for (number, branch), start in zip(active, before, strict=True):
            alternatives = fork(start, branch.flow)
            if len(alternatives) < 2:
                following.append((number, branch))
                continue
            if counts[number] + len(alternatives) - 1 > at_most:
                following.append((number, _too_many(branch, alternatives[0].choice, at_most)))
                continue
            counts[number] += len(alternatives) - 1
            for alternative in alternatives:
                choices = (*branch.choices, alternative.choice)
                forked.setdefault(alternative, []).append((number, Branch(choices, start.copy())))
        for alternative, branches in forked.items():
            with alternative.chosen():
                advance([branch.flow for _, branch in branches])
            following += branches
        active = following + waiting
    return ended


def _too_many(branch: Branch, choice: Choice, at_most: int) -> Branch:
    flow = branch.flow.copy()
    flow.undecided = True
    flow.end(f"there are more than {at_most} possible paths; those after {choice.question} were not tested")
    return Branch(branch.choices, flow)


def unite(branches: Sequence[Branch]) -> Flow:
    """Unite the branches of a service in one flow.

    It has their common result, or UNKNOWN and the result of each branch.
    """
    if len(branches) == 1:
        return branches[0].flow
    shown = next((branch for branch in branches if branch.flow.result != UNKNOWN), branches[0]).flow
    united = shown.copy()
    united.assumptions = _all(branch.flow.assumptions for branch in branches)
    united.notes = _all(branch.flow.notes for branch in branches)
    answers = listed((branch.choices, branch.flow.result, _why(branch.flow)) for branch in branches)
    if len({branch.flow.result for branch in branches}) == 1:
        united.notes.append(agrees([choice for branch in branches for choice in branch.choices], answers))
        return united
    united.steps = list(_common([branch.flow.steps for branch in branches]))
    united.undecided, united.unsure, united.delivered, united.exit = True, "", False, None
    united.end(depends([choice for branch in branches for choice in branch.choices], answers))
    return united


def agrees(choices: Sequence[Choice], answers: str) -> str:
    """Return the caveat of a result that is the same for all options of these choices."""
    return f"the answer is the same whatever {_questions(choices)} is ({answers}); one of these paths is shown"


def depends(choices: Sequence[Choice], answers: str) -> str:
    """Return the reason of a result that is not the same for all options of these choices, with the remedies."""
    remedies = " and ".join(dict.fromkeys(choice.remedy for choice in choices if choice.remedy))
    return f"the answer depends on {_questions(choices)}: {answers}" + (f" ({remedies})" if remedies else "")


def _questions(choices: Sequence[Choice]) -> str:
    return " and ".join(dict.fromkeys(choice.question for choice in choices))


def united(flow: Flow) -> Flow:
    """Return the flow that shows a service with all its possible paths, or the flow itself if it has only one path."""
    return unite(flow.paths) if flow.paths and not flow.unsure else flow


def all_paths(flow: Flow) -> list[Flow]:
    """Return the flow of every possible path of a service."""
    return [branch.flow for branch in flow.paths] or [flow]


def _all(texts: Iterator[list[str]]) -> list[str]:
    return list(dict.fromkeys(text for some in texts for text in some))


def listed(tests: Iterable[tuple[Sequence[Choice], Verdict, str]]) -> str:
    """Return text like `YES for 10.9.0.2 on c; NO for 10.9.1.2 on d: blocked by d`.

    `tests` has (choices, result, why) of each possible path. Paths with the same result and reason are named together.
    """
    options: dict[tuple[str, str], list[str]] = {}
    for choices, result, why in tests:
        options.setdefault((result, why), []).append(" then ".join(choice.option for choice in choices))
    return "; ".join(_listed(result, why, named) for (result, why), named in options.items())


def _listed(result: str, why: str, named: list[str]) -> str:
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return f"{result} for {', '.join(named[:_SHOWN])}{more}" + (f": {why}" if why else "")


def _why(flow: Flow) -> str:
    """Return what blocked the flow, or why its result is unknown; "" for a YES."""
    if flow.result == YES or flow.unsure:
        return flow.unsure
    step = next((step for step in flow.steps if step.result == NO), None)
    if step is None or (step.rule is None and flow.reason):
        return flow.reason
    place = step.rule.document() if step.rule else None
    return f"blocked by {step.router}" + (f" ({place.file}:{place.line})" if place and place.file else "")


def _common(paths: list[list[Step]]) -> Iterator[Step]:
    """Yield the steps that all branches share, including the router where they part."""
    for steps in zip(*paths, strict=False):
        first = steps[0]
        if any((step.router, step.in_iface) != (first.router, first.in_iface) for step in steps):
            return
        if all((step.out_iface, step.result) == (first.out_iface, first.result) for step in steps):
            yield first
            continue
        out_iface = first.out_iface if len({step.out_iface for step in steps}) == 1 else ""
        result: Verdict = first.result if len({step.result for step in steps}) == 1 else UNKNOWN
        yield Step(first.router, first.in_iface, out_iface, result)
        return
