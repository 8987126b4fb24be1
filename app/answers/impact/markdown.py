"""The impact of a change as Markdown, for a merge request. Pure.

Everything that comes from the facts, from answers and from users is written as `<code>` with the characters that have a
meaning in Markdown or HTML as references (`&#124;`). No such text can end a cell, start markup, mention a user or make a
link. GitHub Flavored Markdown specification, sections 2.5 and 4.10.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from app.answers.impact.document import SAME, CellAnswer, Impact
from app.answers.impact.judgement import Judgement
from app.answers.impact.sections import Item, Section, sections
from app.answers.impact.words import changed_caveats, differences, scope, shown
from app.answers.rule_text import rule_text
from app.formatting import ARROW
from netlab.facts.changes.document import NOUNS, Change, FactsChanges, Group, Side
from netlab.results.document import NO, YES
from netlab.terminal import in_a_line

ROWS_MAX: Final = 100
"""Maximum number of rows of one table."""
LINES_MAX: Final = 400
"""Maximum number of lines about the facts."""
_MEANINGFUL = re.compile(r"[^\w\s.,:/=()+→-]|_|(?<=[wW]{3})\.|:(?=//)")
_HEAD = "| line | from | to | services | {} |\n|---|---|---|---|{}|"


def impact_markdown(impact: Impact, judgement: Judgement | None = None) -> str:
    """Return the summary, the judgement, a table for each class, and the changes of the facts."""
    parts = [f"## Impact of the change from {code(impact.before)} to {code(impact.after)}", f"**{impact.summary}**"]
    if judgement:
        parts.append(judgement.text)
    if impact.filter:
        parts.append(code(shown(impact)))
    if judgement and judgement.missing:
        parts.append("### expected, but did not occur")
        parts.append("\n".join(f"- {code(entry.sentence)}" for entry in judgement.missing))
    for section in sections(impact, judgement):
        parts += [f"### {section.title}", "\n".join(_table(section))]
    parts += ["### changes of the facts", code(impact.changes.summary)]
    if impact.changes:
        parts.append("<details><summary>all changes</summary>\n\n" + _fenced(_facts(impact.changes)) + "\n\n</details>")
    return "\n\n".join([*parts, scope(impact.counts)]) + "\n"


def code(text: str) -> str:
    """Return a text as code that can stand in a table, a list or a paragraph."""
    plain = " ".join(in_a_line(text).split())
    return f"<code>{_MEANINGFUL.sub(lambda found: f'&#{ord(found[0])};', plain)}</code>" if plain else ""


def _table(section: Section) -> Iterator[str]:
    columns = ("note", "---") if section.kind == SAME else ("before | after", "---|---")
    yield _HEAD.format(*columns)
    for item in section.items[:ROWS_MAX]:
        cell = item.first
        flow = [item.lines, code(item.sources), code(cell.destination), code(item.services)]
        flow[0] += " **unexpected**" if item.unexpected else ""
        rest = [_note(item)] if section.kind == SAME else [_answer(cell.before), _answer(cell.after)]
        yield f"| {' | '.join([*flow, *rest])} |"
    if (more := len(section.items) - ROWS_MAX) > 0:
        yield f"\nand {more} more rows"


def _answer(answer: CellAnswer) -> str:
    if answer.result == YES:
        return f"YES through {code(ARROW.join(answer.path))}" if answer.path else "YES"
    if answer.result != NO or not answer.blocker:
        return answer.result + (f": {code(answer.reason)}" if answer.reason else "")
    rule = rule_text(answer.rule)
    text = f"NO by {code(answer.blocker)}"
    if rule:
        return f"{text}: {code(rule.without_place)}" + (f" in {code(rule.where)}" if rule.where else "")
    return text + (f": {code(answer.reason)}" if answer.reason else "")


def _note(item: Item) -> str:
    before, after = item.first.before, item.first.after
    gone, new = changed_caveats(before.caveats, after.caveats)
    notes = [*differences(before, after)]
    notes += [f"only before: {code(text)}" for text in gone]
    notes += [f"only after: {code(text)}" for text in new]
    return "; ".join(notes)


def _fenced(lines: Iterable[str]) -> str:
    """Return lines as a fenced block that none of them can end."""
    listed = list(lines)
    more = len(listed) - LINES_MAX
    text = "\n".join([*listed[:LINES_MAX], *([f"  and {more} more lines"] if more > 0 else [])])
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}diff\n{text}\n{fence}"


def _facts(changes: FactsChanges) -> Iterator[str]:
    for router in changes.routers:
        if router.kind != "changed":
            yield f"{'+' if router.kind == 'added' else '-'} {in_a_line(router.router)}: router {router.kind}"
        yield from _groups(router.router, router.groups)
    yield from _groups("hosts.yaml", changes.network)


def _groups(owner: str, groups: Iterable[Group]) -> Iterator[str]:
    for group in groups:
        name = f" of {group.name}" if group.name else ""
        yield f"@@ {in_a_line(f'{owner}: {NOUNS[group.part][1]}{name}')} @@"
        for change in group.changes:
            yield from _change(change)
        if group.unlisted:
            yield f"  and {group.unlisted} more"


def _change(change: Change) -> Iterator[str]:
    before, after = change.before, change.after
    if change.note:
        yield f"{'+' if after else '-'} {in_a_line(change.note)}"
        return
    if before:
        yield f"- {_statement(before)}"
    if after:
        yield f"+ {_statement(after)}"


def _statement(side: Side) -> str:
    return in_a_line(f"{side.text}  ({side.file}:{side.line})" if side.line else side.text)
