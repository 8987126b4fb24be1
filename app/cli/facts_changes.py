"""What changed between two snapshots of a network as text for a terminal, like a unified diff by router. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from app.cli.console import style
from netlab.facts.changes.document import NOUNS, Change, FactsChanges, Group, Side
from netlab.terminal import in_a_line


def facts_changes(found: FactsChanges) -> str:
    """Return the summary, and then every listed change with its file and line."""
    lines = [in_a_line(found.summary)]
    for router in found.routers:
        name = in_a_line(router.router)
        lines.append("")
        if router.kind == "changed":
            lines += _groups(name, router.groups)
        else:
            lines.append(style(f"{name}  {router.kind}", fg="green" if router.kind == "added" else "red", bold=True))
    if found.network:
        lines += ["", *_groups("hosts.yaml", found.network)]
    return "\n".join(lines)


def _groups(owner: str, groups: tuple[Group, ...]) -> Iterator[str]:
    for group in groups:
        name = in_a_line(group.name)
        title = f"{NOUNS[group.part][1]}{f' of {name}' if name else ''}"
        yield style(f"{owner}  {title}", bold=True)
        for change in group.changes:
            yield from _change(change)
        if group.unlisted:
            yield f"    and {group.unlisted} more"


def _change(change: Change) -> Iterator[str]:
    before, after = change.before, change.after
    if change.note:
        yield _coloured("+" if after else "-", in_a_line(change.note))
    elif change.kind == "moved" and before and after:
        yield _coloured("~", f"{in_a_line(after.text)}  (moved from {_place(before)} to {_place(after)})")
    else:
        if before:
            yield _coloured("-", _statement(before))
        if after:
            yield _coloured("+", _statement(after))


def _statement(side: Side) -> str:
    place = _place(side)
    return f"{in_a_line(side.text)}{f'  ({place})' if place else ''}"


def _place(side: Side) -> str:
    return in_a_line(f"{side.file}:{side.line}") if side.line else ""


def _coloured(sign: str, text: str) -> str:
    return "  " + style(f"{sign} {text}", fg={"-": "red", "+": "green", "~": "yellow"}[sign])
