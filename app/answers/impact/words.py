"""Describes changed cells in plain sentences, and the whole impact in one line. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Final

from app.answers.impact.document import (
    GAINED,
    LOST,
    OTHER_RULE,
    REROUTED,
    SAME,
    UNDETERMINED,
    CellAnswer,
    CellChange,
    Class,
    Impact,
    ImpactCounts,
)
from app.answers.rule_text import STOPS, rule_text
from app.formatting import ARROW
from netlab.results.document import NO, UNKNOWN, YES
from netlab.results.services import fold

TITLES: Final[dict[Class, str]] = {
    LOST: "lost",
    UNDETERMINED: "undetermined",
    GAINED: "gained",
    REROUTED: "rerouted",
    OTHER_RULE: "blocked by another rule",
    SAME: "the same, with another note",
}
RANGES_SHOWN: Final = 4
"""Maximum number of ranges of sources that a sentence names."""
LOCK_OUT: Final = "possible lock-out"
"""Title of the management flows whose result changed and is not YES after the change."""
_LINE = re.compile(r"(/[a-z_]+\.[a-z]+):\d+\b")
"""The line number after the name of a file of facts."""


def summary(counts: ImpactCounts) -> str:
    """Describe the counts in one line: `3 cells lost, 1 gained, 494 the same (498 cells of 200 questions)`."""
    numbers: list[tuple[int, str]] = [
        (counts.lost, TITLES[LOST]),
        (counts.undetermined, TITLES[UNDETERMINED]),
        (counts.gained, TITLES[GAINED]),
        (counts.rerouted, TITLES[REROUTED]),
        (counts.other_rule, TITLES[OTHER_RULE]),
        (counts.same, "the same"),
    ]
    (first, title), *others = [(number, title) for number, title in numbers if number]
    phrases = [f"{_cells(first)} {title}", *(f"{number} {title}" for number, title in others)]
    if counts.unknown:
        phrases[-1] += f" ({counts.unknown} of them UNKNOWN before and after)"
    questions = f"{counts.questions} question{'' if counts.questions == 1 else 's'}"
    text = f"{', '.join(phrases)} ({_cells(counts.cells)} of {questions})"
    if counts.lock_outs:
        return f"{LOCK_OUT}: {_cells(counts.lock_outs)} of management flows lost or undetermined; {text}"
    return text


def scope(counts: ImpactCounts) -> str:
    """Return what the counts cover and what they do not prove."""
    if not counts.cells:
        return "No question was asked, because the facts have the same meaning."
    return (
        f"{counts.changed} of {_cells(counts.cells)} changed. A cell is one service of one question. Only the forward "
        "path was tested. A change that has no effect on these cells can have an effect on other packets."
    )


def shown(impact: Impact) -> str:
    """Return how many of the changed cells a filter shows; "" without a filter."""
    if not impact.filter:
        return ""
    return f"Only {len(impact.cells)} of {impact.counts.changed} changed cells are listed: {impact.filter}."


def sentence(cells: Sequence[CellChange]) -> str:
    """Describe cells with the same destination, class and answers before and after: each source with each service."""
    cell = cells[0]
    flow = _Flow(fold_sources(cells), cell.destination, fold([each for each in cells if each.line == cell.line]))
    return f"{_SENTENCES[cell.kind](flow, cell.before, cell.after)}."


def fold_sources(cells: Sequence[CellChange]) -> str:
    """Return the sources of cells in short form, such as `each of 10.1.10.20-10.1.10.59 (40 sources)`."""
    sources = sorted({(IPv4Address(cell.source), cell.source_port or 0) for cell in cells})
    if len({address for address, _ in sources}) == 1:
        address, port = sources[0]
        return f"{address} (port {port})" if port and len(sources) == 1 else str(address)
    ranges: list[list[IPv4Address]] = []
    for address, _ in sources:
        if ranges and int(address) <= int(ranges[-1][-1]) + 1:
            ranges[-1][-1] = address
        else:
            ranges.append([address, address])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    more = f" and {len(texts) - RANGES_SHOWN} more ranges" if len(texts) > RANGES_SHOWN else ""
    return f"each of {', '.join(texts[:RANGES_SHOWN])}{more} ({len(sources)} sources)"


def blocked(answer: CellAnswer) -> str:
    """Return what blocked a cell, such as `dc-fw drops it (dc-fw/iptables.rules:12)`; "" if it is not known."""
    rule, blocker = rule_text(answer.rule), answer.blocker
    if rule and blocker:
        return f"{blocker} {STOPS.get(rule.verdict, 'stops')} it ({rule.where or rule.short})"
    reason = (answer.reason or "").removeprefix(f"{blocker}: ") if blocker else answer.reason or ""
    if not blocker:
        return reason
    return f"{blocker}: {reason}" if reason else f"{blocker} blocks it"


def previously(answer: CellAnswer) -> str:
    """Return what had blocked a cell, such as `it was blocked by dc-fw (dc-fw/iptables.rules:12)`; "" if not known."""
    rule, blocker = rule_text(answer.rule), answer.blocker
    if not blocker:
        return f"it had failed: {answer.reason}" if answer.reason else ""
    if rule:
        return f"it was blocked by {blocker} ({rule.where or rule.short})"
    return f"it was blocked by {blocker}" + _after_colon((answer.reason or "").removeprefix(f"{blocker}: "))


def without_lines(text: str) -> str:
    """Return a reason or a caveat without the line numbers of the files that it names."""
    return _LINE.sub(r"\1", text)


def differences(before: CellAnswer, after: CellAnswer) -> tuple[str, ...]:
    """Return what differs in an unchanged cell, in words that contain nothing from the facts."""
    found = []
    if before.path != after.path:
        found.append("the path to the same blocking rule is another one")
    if before.blocked_by != after.blocked_by:
        found.append("other routers further along the path would also block it")
    if any(changed_caveats(before.depends_on, after.depends_on)):
        found.append("the result depends on other caveats")
    elif any(changed_caveats(before.caveats, after.caveats)):
        found.append("the question has other caveats")
    return tuple(found)


def changed_caveats(before: Sequence[str], after: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the caveats that are only before and only after the change. Line numbers do not count."""
    was, now = ({without_lines(text): text for text in texts} for texts in (before, after))
    gone = tuple(text for meaning, text in was.items() if meaning not in now)
    return gone, tuple(text for meaning, text in now.items() if meaning not in was)


class _Flow:
    """The packets of a sentence: who sends them, where to, and by which services."""

    def __init__(self, source: str, destination: str, services: str) -> None:
        self._source = source
        self._target = f"{destination} on {services}"

    @property
    def named(self) -> str:
        """The flow without a verb, such as `10.1.10.20 to 10.3.20.8 on 443/tcp`."""
        return f"{self._source} to {self._target}"

    def say(self, verb: str) -> str:
        """Return the flow with this verb between source and destination."""
        text = f"{self._source} {verb} {self._target}"
        return text[0].upper() + text[1:]


def _lost(flow: _Flow, before: CellAnswer, after: CellAnswer) -> str:
    return flow.say("no longer reaches") + _after_colon(blocked(after))


def _gained(flow: _Flow, before: CellAnswer, after: CellAnswer) -> str:
    return flow.say("now reaches") + _and_before(before)


def _undetermined(flow: _Flow, before: CellAnswer, after: CellAnswer) -> str:
    if after.result == UNKNOWN:
        how = {YES: "was YES and is now unknown", NO: "was NO and is now unknown"}
        text = f"The result from {flow.named} {how.get(before.result, 'is still unknown')}" + _after_colon(after.reason)
        was_another = before.result == UNKNOWN and before.reason
        return text + (f"; before the change: {before.reason}" if was_another else "")
    text = flow.say("reaches") if after.result == YES else flow.say("does not reach") + _after_colon(blocked(after))
    return f"{text}; before the change, the result was unknown" + _after_colon(before.reason)


def _rerouted(flow: _Flow, before: CellAnswer, after: CellAnswer) -> str:
    new = [router for router in after.path if router not in before.path]
    gone = [router for router in before.path if router not in after.path]
    if new:
        how = f"now through {_listed(new)}" + (f" instead of {_listed(gone)}" if gone else "")
    elif gone:
        how = f"no longer through {_listed(gone)}"
    else:
        how = f"now by the path {ARROW.join(after.path)} instead of {ARROW.join(before.path)}"
    return f"{flow.say('still reaches')}, {how}"


def _other_rule(flow: _Flow, before: CellAnswer, after: CellAnswer) -> str:
    return flow.say("still does not reach") + _after_colon(blocked(after)) + _and_before(before)


def _same(flow: _Flow, before: CellAnswer, after: CellAnswer) -> str:
    if after.result == UNKNOWN:
        text = f"The result from {flow.named} is still unknown"
    else:
        text = flow.say("still reaches" if after.result == YES else "still does not reach")
    return "; ".join([text, *differences(before, after)])


_SENTENCES = {
    LOST: _lost,
    GAINED: _gained,
    UNDETERMINED: _undetermined,
    REROUTED: _rerouted,
    OTHER_RULE: _other_rule,
    SAME: _same,
}


def _and_before(before: CellAnswer) -> str:
    text = previously(before)
    return f"; before the change, {text}" if text else ""


def _after_colon(text: str | None) -> str:
    return f": {text}" if text else ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _cells(number: int) -> str:
    return f"{number} cell{'' if number == 1 else 's'}"
