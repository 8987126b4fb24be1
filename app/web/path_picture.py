"""The path of a service as a picture: hosts and routers in order, where it stops, the rule there, and the way back. Pure.

document ──▶ ways.way ──▶ path_nodes ──▶ columns: the reply lies beneath the request, the same router in the same column
         ──▶ rows of `per_row` boxes ──▶ SVG, coloured by static/pictures.css
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from markupsafe import Markup

from app.web.path_nodes import KIND, Node, Note, in_words, nodes
from app.web.svg import SIZE, cut, drawing, tag, text, wrap
from app.web.ways import Group, path_groups, way

__all__ = ["DESK", "PHONE", "Group", "path_groups", "path_picture"]

DESK, PHONE = 6, 2
"""Boxes in a row that stay readable there."""
BOX, HIGH, LINK = 112, 48, 56
MARGIN, TURN = 30, 46
"""At the sides: of one row; of several, whose ends name interfaces too."""
LINE, CAPTION, GAP = 16, 22, 26
NAME = 13


def path_picture(document: Mapping[str, Any], service_index: int | None = None, *, per_row: int = DESK) -> Markup:
    """The SVG for document["services"][service_index]; for None, of the way most services take.

    At most `per_row` boxes in a row, hosts among them; IndexError where there is no such service.
    """
    if service_index is None:
        service_index = max(path_groups(document), key=lambda group: len(group.indices)).indices[0]
    found = way(document, service_index)
    lanes = [_Lane(nodes(found, found.request), True)]
    if found.reply:
        lanes.append(_Lane(nodes(found, found.reply), False))
    bands = _arrange(lanes, max(1, per_row))
    wide = max(lane.grid.width for lane in lanes)
    parts: list[Markup] = []
    y, row_before = 0.0, bands[0][1]
    for lane, row, captioned in bands:
        y += (GAP if row != row_before else 8) if parts else 0
        row_before = row
        if captioned and len(lanes) > 1:
            x, anchor = (lane.grid.side, "start") if lane.forward else (wide - lane.grid.side, "end")
            parts.append(text(x, y + 12, lane.called, class_="pp-caption", text_anchor=anchor))
            y += CAPTION
        parts += lane.draw(row, y + 6)
        y += HIGH + 9 + lane.notes_height(row)
    title = f"Path of {found.service} from {found.source} to {found.destination}: {found.result}"
    return drawing(wide, y + 4, title, in_words(found), parts, class_="pp", role="img")


class _Grid:
    """Columns in balanced rows; mirrored, the first column stands at the right."""

    def __init__(self, columns: int, per_row: int, *, mirrored: bool = False) -> None:
        self.rows = -(-columns // per_row)
        self.per_row = -(-columns // self.rows)
        self.side = MARGIN if self.rows == 1 else TURN
        self.width = float(2 * self.side + self.per_row * BOX + (self.per_row - 1) * LINK)
        self._mirrored = mirrored

    def row(self, column: int) -> int:
        return column // self.per_row

    def x(self, column: int) -> float:
        """The left edge of the column's box."""
        x = float(self.side + (column % self.per_row) * (BOX + LINK))
        return self.width - x - BOX if self._mirrored else x


@dataclass
class _Lane:
    """One direction; `_arrange` gives its boxes their columns."""

    nodes: list[Node]
    forward: bool
    columns: list[int] = field(default_factory=list)
    grid: _Grid = field(init=False)

    @property
    def called(self) -> str:
        return "request →" if self.forward else "← reply"

    def notes_height(self, row: int) -> float:
        here = [node for node, column in zip(self.nodes, self.columns, strict=True) if self.grid.row(column) == row]
        most = max((len(_lines(node.notes)) for node in here), default=0)
        return most * LINE + 4 if most else 0

    def draw(self, row: int, y: float) -> Iterable[Markup]:
        """What of the lane lies in this row, its boxes' top at y."""
        for before, after, a, b in zip(self.nodes, self.nodes[1:], self.columns, self.columns[1:], strict=False):
            yield from self._link(row, y + HIGH / 2, (before, a), (after, b))
        for node, column in zip(self.nodes, self.columns, strict=True):
            if self.grid.row(column) == row:
                yield _box(node, self.grid.x(column), y)
                if node.ends:
                    yield self._bar(node.ends, self.grid.x(column) + BOX / 2 + self._sign() * (BOX / 2 + 6), y)

    def _sign(self) -> int:
        return 1 if self.forward else -1

    def _bar(self, result: str, x: float, y: float) -> Markup:
        return tag("line", x1=x, x2=x, y1=y - 3, y2=y + HIGH + 3, class_=f"pp-bar {KIND[result]}")

    def _link(self, row: int, y: float, start: tuple[Node, int], end: tuple[Node, int]) -> list[Markup]:
        """The part in this row of the line from one box to the next: out interface above it, in interface below."""
        grid, (before, a), (after, b) = self.grid, start, end
        if not min(grid.row(a), grid.row(b)) <= row <= max(grid.row(a), grid.row(b)):
            return []
        sign, away = self._sign(), after.dim
        leaves, comes = grid.row(a) == row, grid.row(b) == row
        edges = (0.0, grid.width) if self.forward else (grid.width, 0.0)
        x1 = grid.x(a) + (BOX if self.forward else 0) if leaves else edges[0] + sign * 14
        x2 = grid.x(b) + (0 if self.forward else BOX) if comes else edges[1] - sign * 14
        dim = " pp-dim" if away else ""
        parts = [tag("line", x1=x1, x2=x2 - sign * 2 * comes, y1=y, y2=y, class_=f"pp-link{dim}")]
        room = abs(x2 - x1) - 6 if leaves and comes else TURN - 6
        if leaves and before.outward:
            at, anchor = x1 + sign * (12 if before.ends else 4), "start" if self.forward else "end"
            parts.append(_interface(before.outward, at, y - 7, room, anchor, dim, "leaves by"))
        if comes:
            parts.append(_head(x2, y, sign, dim))
            if after.inward:
                anchor = "end" if self.forward else "start"
                parts.append(_interface(after.inward, x2 - sign * 4, y + 16, room, anchor, dim, "comes in on"))
            if after.lost:
                parts.append(self._bar(after.lost, x2 - sign * 16, y - HIGH / 2))
        parts += [_turn(edges[1] - sign * 8, y, sign)] if not comes else []
        parts += [_turn(edges[0] + sign * 8, y, sign)] if not leaves else []
        return parts


def _arrange(lanes: Sequence[_Lane], per_row: int) -> list[tuple[_Lane, int, bool]]:
    """Columns and grid for each lane; what to draw from top to bottom: a lane, a row of it, and whether to caption it.

    The reply lies beneath the request, router beneath router, as long as that is two rows at most. In more, nobody
    would follow it from the last row up to the first: then it follows the request, in rows of its own.
    """
    columns = _common_columns(*lanes) if len(lanes) == 2 else [list(range(len(lanes[0].nodes)))]
    count = 1 + max(map(max, columns))
    grid = _Grid(count, per_row)
    if len(lanes) == 1 or grid.rows <= 2:
        for lane, places in zip(lanes, columns, strict=True):
            lane.grid, lane.columns = grid, places
        return [(lane, row, True) for row in range(grid.rows) for lane in lanes]
    for lane in lanes:
        lane.columns = list(range(len(lane.nodes)))
        lane.grid = _Grid(len(lane.nodes), per_row, mirrored=not lane.forward)
    width, side = max((lane.grid.width, lane.grid.side) for lane in lanes)
    for lane in lanes:
        lane.grid.width, lane.grid.side = width, side
    return [(lane, row, row == 0) for lane in lanes for row in range(lane.grid.rows)]


def _common_columns(there: _Lane, back: _Lane) -> list[list[int]]:
    """Columns for both lanes, such that the same router stands one above the other where both ways pass it."""
    above, beneath = [node.name for node in there.nodes], [node.name for node in reversed(back.nodes)]
    columns: list[tuple[int | None, int | None]] = [(0, 0)]
    match = SequenceMatcher(None, above[1:-1], beneath[1:-1], autojunk=False)
    for _, a1, a2, b1, b2 in match.get_opcodes():
        columns += zip_longest(range(a1 + 1, a2 + 1), range(b1 + 1, b2 + 1))
    columns.append((len(above) - 1, len(beneath) - 1))
    return [
        [n for n, (a, _) in enumerate(columns) if a is not None],
        [n for n, (_, b) in enumerate(columns) if b is not None][::-1],
    ]


def _box(node: Node, x: float, y: float) -> Markup:
    dim = " pp-dim" if node.dim else ""
    middle = x + BOX / 2
    shape = tag("rect", x=x, y=y, width=BOX, height=HIGH, rx=HIGH / 2 if node.host else 8, class_="pp-box")
    size = SIZE if node.host else NAME
    called = node.name if node.host else cut(node.name, BOX - 10, size)
    name = text(middle, y + 21, called, class_="pp-name", text_anchor="middle", font_size=size)
    state = text(middle, y + 38, node.state, class_="pp-state", text_anchor="middle")
    notes = [
        text(middle, y + HIGH + 18 + LINE * n, said, whole=note.whole, class_=note.class_, text_anchor="middle")
        for n, (said, note) in enumerate(_lines(node.notes))
    ]
    kind = "pp-host" if node.host else "pp-router"
    return tag("g", tag("title", node.title), shape, name, state, *notes, class_=f"{kind} {node.class_}{dim}")


def _lines(notes: Iterable[Note]) -> list[tuple[str, Note]]:
    return [(line, note) for note in notes for line in wrap(note.said, BOX + LINK - 10, note.lines)]


def _interface(name: str, x: float, y: float, room: float, anchor: str, dim: str, verb: str) -> Markup:
    said = cut(name, room, SIZE)
    return text(x, y, said, whole=f"{verb} {name}", class_=f"pp-interface{dim}", text_anchor=anchor)


def _head(x: float, y: float, sign: int, dim: str) -> Markup:
    return tag(
        "path", d=f"M{x - sign * 8:g} {y - 4:g}L{x - sign:g} {y:g}L{x - sign * 8:g} {y + 4:g}Z", class_=f"pp-head{dim}"
    )


def _turn(x: float, y: float, sign: int) -> Markup:
    """The mark of a line that goes on in the next row."""
    d = f"M{x - sign * 3:g} {y - 4:g}L{x + sign * 3:g} {y:g}L{x - sign * 3:g} {y + 4:g}"
    return tag("path", d=d, class_="pp-turn")
