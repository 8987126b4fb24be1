"""SVG in small pieces: elements whose every attribute and text is escaped, and text cut or wrapped to a width. Pure.

Nobody can measure text on a server, so widths are estimates on the wide side: of the typefaces a system's sans-serif may
be, the widest common one. Colours are classes of static/pictures.css; nothing here writes a style.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

_WIDE, _NARROW = set("MWmw@%—→✓✕"), set("iljtfrI.,:;|!'()[]/ ")
SIZE = 12
"""The smallest text, in units of the picture, which are CSS pixels at natural size."""


def tag(name: str, /, *children: str | Markup, **attributes: object) -> Markup:
    """`<name attributes>children</name>`; `class_` is class, `stroke_width` stroke-width; None and "" are left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_number(value)}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    inside = "".join(map(escape, children))
    return Markup(f"<{name}{written}>{inside}</{name}>")  # every part of it is escaped, and there are thousands a page


def text(x: float, y: float, said: str, *, whole: str = "", **attributes: object) -> Markup:
    """A text with its baseline at y; `whole` is what a pointer over it tells when `said` had to be cut."""
    title = tag("title", whole) if whole and whole != said else Markup()
    return tag("text", title, said, x=x, y=y, **attributes)


def width(said: str, size: float = SIZE) -> float:
    """About how wide the text is."""
    return size * sum(0.95 if c in _WIDE else 0.38 if c in _NARROW else 0.62 for c in said)


def cut(said: str, room: float, size: float = SIZE) -> str:
    """The text, or as much of it as there is room for and an ellipsis."""
    if width(said, size) <= room:
        return said
    while said and width(said + "…", size) > room:
        said = said[:-1]
    return said.rstrip() + "…"


def wrap(said: str, room: float, lines: int, size: float = SIZE) -> list[str]:
    """The text on at most so many lines, broken between words; what is left over is cut."""
    words, found = said.split(), [""]
    while words:
        longer = f"{found[-1]} {words[0]}".strip()
        if width(longer, size) <= room or not found[-1]:
            found[-1] = longer
            words.pop(0)
        elif len(found) == lines:
            found[-1] = f"{found[-1]} {' '.join(words)}"
            break
        else:
            found.append("")
    return [cut(line, room, size) for line in found if line]


def drawing(wide: float, high: float, title: str, desc: str, parts: Iterable[Markup], **attributes: object) -> Markup:
    """The whole picture: as wide as its place allows and never wider than natural size, which the stylesheet sees to."""
    return tag(
        "svg",
        tag("title", title),
        tag("desc", desc),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_number(wide)} {_number(high)}",
        width=wide,
        height=high,
        **attributes,
    )


def _number(value: object) -> str | Markup:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else escape(value)
