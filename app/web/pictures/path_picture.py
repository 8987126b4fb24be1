"""The path of a service as a picture: hosts and routers in order, the end and the rule there, and the return path. Pure.

ServicePath ──▶ path_nodes ──▶ columns: the reply is below the request, the same router in the same column
         ──▶ rows of `per_row` boxes ──▶ SVG, coloured by static/pictures.css
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest

from markupsafe import Markup

from app.answers.paths import ServicePath
from app.web.pictures.path_grid import DESK, HIGH, MIDDLE, PHONE, TURN, Grid
from app.web.pictures.path_nodes import KIND, Node, Note, in_words, nodes
from app.web.pictures.svg import SIZE, cut, drawing, tag, text, width, wrap

__all__ = ["DESK", "MIDDLE", "PHONE", "path_picture"]

LINE, CAPTION, GAP = 16, 22, 26
NAME = 13
BAR = 10
"""Part of a link that the bar behind a router takes."""


def path_picture(path: ServicePath, *, per_row: int = DESK) -> Markup:
    """Return the SVG of one path, with at most `per_row` boxes in a row, including the hosts."""
    legs = [_LegRow(nodes(path, path.request), True)]
    if path.reply:
        legs.append(_LegRow(nodes(path, path.reply), False))
    bands = _arrange(legs, max(1, per_row))
    wide = max(leg.grid.width for leg in legs)
    parts: list[Markup] = []
    y, row_before = 0.0, bands[0][1]
    for leg, row, captioned in bands:
        y += (GAP if row != row_before else 8) if parts else 0
        row_before = row
        if captioned and len(legs) > 1:
            x, anchor = (leg.grid.side, "start") if leg.forward else (wide - leg.grid.side, "end")
            parts.append(text(x, y + 12, leg.called, class_="pp-caption", text_anchor=anchor))
            y += CAPTION
        parts += leg.draw(row, y + 6)
        y += HIGH + 9 + leg.notes_height(row)
    title = f"Path of {path.service} from {path.source} to {path.destination}: {path.result}"
    return drawing(wide, y + 4, title, in_words(path), parts, class_="pp", role="group")


@dataclass
class _LegRow:
    """One direction of the path. `_arrange` sets the columns of its boxes."""

    nodes: list[Node]
    forward: bool
    columns: list[int] = field(default_factory=list)
    grid: Grid = field(init=False)

    @property
    def called(self) -> str:
        return "request →" if self.forward else "← reply"

    def notes_height(self, row: int) -> float:
        here = [node for node, column in zip(self.nodes, self.columns, strict=True) if self.grid.row(column) == row]
        most = max((len(_lines(node.notes, self.grid)) for node in here), default=0)
        return most * LINE + 4 if most else 0

    def draw(self, row: int, y: float) -> Iterable[Markup]:
        """Draw the part of the leg in this row, with the top of its boxes at y."""
        for before, after, a, b in zip(self.nodes, self.nodes[1:], self.columns, self.columns[1:], strict=False):
            yield from self._link(row, y + HIGH / 2, (before, a), (after, b))
        for node, column in zip(self.nodes, self.columns, strict=True):
            if self.grid.row(column) == row:
                yield _box(node, self.grid, column, y)
                if node.ends:
                    yield self._bar(node.ends, self._side(node, column, self._sign()) + self._sign() * 6, y)

    def _sign(self) -> int:
        return 1 if self.forward else -1

    def _side(self, node: Node, column: int, sign: int) -> float:
        """Return the x of the box's right (1) or left (-1) edge."""
        return self.grid.x(column) + self.grid.box / 2 + sign * _wide(node, self.grid) / 2

    def _bar(self, result: str, x: float, y: float) -> Markup:
        return tag("line", x1=x, x2=x, y1=y - 3, y2=y + HIGH + 3, class_=f"pp-bar {KIND[result]}")

    def _link(self, row: int, y: float, start: tuple[Node, int], end: tuple[Node, int]) -> Iterable[Markup]:
        """Draw the part of the line between two boxes that is in this row."""
        (before, a), (after, b) = start, end
        first, last = self.grid.row(a), self.grid.row(b)
        if not min(first, last) <= row <= max(first, last):
            return
        sign, dim = self._sign(), " pp-dim" if after.dim else ""
        left, right = (0.0, self.grid.width) if self.forward else (self.grid.width, 0.0)
        x1 = self._side(before, a, sign) if first == row else left + sign * 14
        x2 = self._side(after, b, -sign) if last == row else right - sign * 14
        room = abs(x2 - x1) - 3 - BAR * bool(before.ends) if first == last else TURN - 6
        yield tag("line", x1=x1, x2=x2 - sign * 2 * (last == row), y1=y, y2=y, class_=f"pp-link{dim}")
        if first == row:
            yield from self._outgoing(before, x1, y, room, dim)
        else:
            yield _turn(left + sign * 8, y, sign)
        if last == row:
            yield from self._incoming(after, x2, y, room, dim)
        else:
            yield _turn(right - sign * 8, y, sign)

    def _outgoing(self, node: Node, x: float, y: float, room: float, dim: str) -> Iterable[Markup]:
        """Draw the interface by which the packet leaves the box. It is above the line."""
        if node.out_iface:
            at = x + self._sign() * (12 if node.ends else 3)
            yield _interface(node.out_iface, at, y - 7, room, "start" if self.forward else "end", dim, "leaves by")

    def _incoming(self, node: Node, x: float, y: float, room: float, dim: str) -> Iterable[Markup]:
        """Draw the arrow into the box, the incoming interface below the line, and the mark of a lost packet."""
        sign = self._sign()
        yield _head(x, y, sign, dim)
        if node.in_iface:
            anchor = "end" if self.forward else "start"
            yield _interface(node.in_iface, x - sign * 3, y + 16, room, anchor, dim, "comes in on")
        if node.lost:
            yield self._bar(node.lost, x - sign * 16, y - HIGH / 2)


def _arrange(legs: Sequence[_LegRow], per_row: int) -> list[tuple[_LegRow, int, bool]]:
    """Set the columns and the grid of each leg, and return what to draw from top to bottom.

    Each entry is a leg, one of its rows, and whether the row has a caption. With up to two rows, the reply is below the
    request, so that the same router is in the same column. With more rows, it would be hard to follow from the last row
    up to the first, so the reply then comes after the request, in its own rows.
    """
    columns = _common_columns(*legs) if len(legs) == 2 else [list(range(len(legs[0].nodes)))]
    count = 1 + max(map(max, columns))
    grid = Grid(count, per_row)
    if len(legs) == 1 or grid.rows <= 2:
        for leg, places in zip(legs, columns, strict=True):
            leg.grid, leg.columns = grid, places
        return [(leg, row, True) for row in range(grid.rows) for leg in legs]
    for leg in legs:
        leg.columns = list(range(len(leg.nodes)))
        leg.grid = Grid(len(leg.nodes), per_row, mirrored=not leg.forward)
    widest = max((leg.grid for leg in legs), key=lambda grid: grid.width)
    for leg in legs:
        leg.grid.like(widest)
    return [(leg, row, row == 0) for leg in legs for row in range(leg.grid.rows)]


def _common_columns(there: _LegRow, back: _LegRow) -> list[list[int]]:
    """Return the columns for both legs, so that a router that is on both paths is in the same column."""
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


def _box(node: Node, grid: Grid, column: int, y: float) -> Markup:
    dim = " pp-dim" if node.dim else ""
    wide, middle = _wide(node, grid), grid.x(column) + grid.box / 2
    shape = tag(
        "rect", x=middle - wide / 2, y=y, width=wide, height=HIGH, rx=HIGH / 2 if node.host else 8, class_="pp-box"
    )
    size = SIZE if node.host else NAME
    called = node.name if node.host else cut(node.name, wide - 10, size)
    name = text(middle, y + 21, called, class_="pp-name", text_anchor="middle", font_size=size)
    state = text(middle, y + 38, node.state, class_="pp-state", text_anchor="middle")
    inside = [tag("title", node.title), shape, name, state]
    if node.href:
        inside = [tag("a", *inside, href=node.href, class_="pp-go")]
    kind = "pp-host" if node.host else "pp-router"
    return tag("g", *inside, *_notes(node, grid, middle, y + HIGH + 18), class_=f"{kind} {node.class_}{dim}")


def _wide(node: Node, grid: Grid) -> float:
    """Return the width of a box.

    The address of a host is never cut. Its box may use some space of the link instead.
    """
    return max(grid.box, min(width(node.name) + 14, grid.box + 20)) if node.host else grid.box


def _notes(node: Node, grid: Grid, middle: float, y: float) -> Iterable[Markup]:
    for n, (line_text, note) in enumerate(_lines(node.notes, grid)):
        line = text(middle, y + LINE * n, line_text, whole=note.whole, class_=note.class_, text_anchor="middle")
        yield tag("a", line, href=note.href, class_="pp-go") if note.href else line


def _lines(notes: Iterable[Note], grid: Grid) -> list[tuple[str, Note]]:
    room = min(grid.box + grid.link - 10, grid.box + 2 * grid.side - 2)
    return [(line, note) for note in notes for line in wrap(note.text, room, note.lines)]


def _interface(name: str, x: float, y: float, room: float, anchor: str, dim: str, verb: str) -> Markup:
    label = cut(name, room, SIZE)
    return text(x, y, label, whole=f"{verb} {name}", class_=f"pp-interface{dim}", text_anchor=anchor)


def _head(x: float, y: float, sign: int, dim: str) -> Markup:
    return tag(
        "path", d=f"M{x - sign * 8:g} {y - 4:g}L{x - sign:g} {y:g}L{x - sign * 8:g} {y + 4:g}Z", class_=f"pp-head{dim}"
    )


def _turn(x: float, y: float, sign: int) -> Markup:
    """Draw the mark of a line that continues in the next row."""
    d = f"M{x - sign * 3:g} {y - 4:g}L{x + sign * 3:g} {y:g}L{x - sign * 3:g} {y + 4:g}"
    return tag("path", d=d, class_="pp-turn")
