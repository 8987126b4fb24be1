"""Layout of a path picture: columns in balanced rows that fit into a card on a desktop screen. Pure.

Text is never made smaller. If a row has more boxes, the boxes and the links between them are narrower, and long
interface names are cut. Eight boxes, which is a path through six routers, fit side by side.
"""

from __future__ import annotations

DESK, MIDDLE, PHONE = 8, 4, 2
"""Maximum number of readable boxes in a row on a desktop screen, a middle-sized screen and a phone."""
ROOM = 1120
"""Width of a card on a desktop screen, in CSS pixels."""
BOX, NARROW_BOX, HIGH = 112, 99, 48
LINK, SHORT_LINK, SHORTEST_LINK = 56, 45, 32
"""Widths of a link. The last one is for rows of eight boxes that continue in the next row."""
MARGIN, TURN = 18, 46
"""Margins at the sides, of a single row and of several rows. The ends of several rows also show interfaces."""


class Grid:
    """Columns in rows of at most `per_row`. If mirrored, the first column is on the right."""

    def __init__(self, columns: int, per_row: int, *, mirrored: bool = False) -> None:
        self.rows = -(-columns // per_row)
        self.per_row = -(-columns // self.rows)
        self.side = MARGIN if self.rows == 1 else TURN
        self.box, self.link = _sizes(self.per_row, ROOM - 2 * self.side)
        self._mirrored = mirrored
        self._width: float | None = None

    @property
    def width(self) -> float:
        """Width of the whole picture."""
        return self._width or float(2 * self.side + self.per_row * self.box + (self.per_row - 1) * self.link)

    def like(self, wider: Grid) -> None:
        """Use the measures of another grid, so that two legs of different length are aligned below each other."""
        self.side, self.box, self.link, self._width = wider.side, wider.box, wider.link, wider.width

    def row(self, column: int) -> int:
        """Return the row of a column."""
        return column // self.per_row

    def x(self, column: int) -> float:
        """Return the x of the left edge of the column's box."""
        x = float(self.side + (column % self.per_row) * (self.box + self.link))
        return self.width - x - self.box if self._mirrored else x


def _sizes(count: int, room: float) -> tuple[float, float]:
    """Return the widths of a box and of a link, for this many boxes side by side."""
    for box, least in ((BOX, SHORT_LINK), (NARROW_BOX, SHORTEST_LINK)):
        link = (room - count * box) // max(1, count - 1)
        if count == 1 or link >= least:
            return box, min(LINK, link) if count > 1 else LINK
    return NARROW_BOX, SHORTEST_LINK
