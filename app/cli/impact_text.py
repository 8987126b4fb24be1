"""The impact of a change as text for a terminal: the cells by class, worst first, and the changes of the facts. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from app.answers.impact.document import GAINED, LOST, OTHER_RULE, REROUTED, SAME, UNDETERMINED, Class, Impact
from app.answers.impact.judgement import Judgement
from app.answers.impact.sections import Item, Section, sections
from app.answers.impact.words import changed_caveats, scope, shown
from app.cli.console import style
from app.cli.facts_changes import facts_changes
from app.formatting import ARROW
from netlab.terminal import in_a_line

WIDTH_MIN = 40
COLOURS: dict[Class | None, str | None] = {
    None: "red",
    LOST: "red",
    UNDETERMINED: "yellow",
    GAINED: "green",
    REROUTED: "cyan",
    OTHER_RULE: "cyan",
    SAME: None,
}


def impact_text(impact: Impact, judgement: Judgement | None = None, *, width: int = 100) -> str:
    """Return the summary, the judgement, the cells by class, and the changes of the facts."""
    width = max(width, WIDTH_MIN)
    head = [style(in_a_line(impact.summary), bold=True)]
    if judgement:
        head.append(style(judgement.text, fg="red" if judgement.exit_code == 1 else None))
    head += _wrapped(shown(impact), width)
    parts = ["\n".join(head)]
    if judgement and judgement.missing:
        lines = [line for entry in judgement.missing for line in _wrapped(entry.sentence, width, "  ")]
        parts.append("\n".join([style("expected, but did not occur", fg="red", bold=True), *lines]))
    parts += ["\n".join(_section(section, width)) for section in sections(impact, judgement)]
    title = f"changes of the facts, {impact.before}{ARROW}{impact.after}"
    parts.append(f"{style(in_a_line(title), bold=True)}\n{facts_changes(impact.changes)}")
    parts.append("\n".join(_wrapped(scope(impact.counts), width)))
    return "\n\n".join(parts)


def _section(section: Section, width: int) -> Iterator[str]:
    yield style(section.title, fg=COLOURS[section.kind], bold=True)
    for item in section.items:
        mark = "unexpected: " if item.unexpected else ""
        yield from _wrapped(f"{mark}{item.sentence} ({item.where})", width, "  ")
        yield from _caveats(item, width)


def _caveats(item: Item, width: int) -> Iterator[str]:
    """Yield the caveats that only one side has, for a cell that is otherwise the same."""
    if item.first.kind != SAME:
        return
    gone, new = changed_caveats(item.first.before.caveats, item.first.after.caveats)
    for words, texts in (("only before", gone), ("only after", new)):
        for text in texts:
            yield from _wrapped(f"{words}: {text}", width, "      ")


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return the lines of a text. Words longer than a line, such as names from the facts, are not cut."""
    return textwrap.wrap(
        in_a_line(text),
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  " if indent else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
