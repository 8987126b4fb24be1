"""SVG elements with every attribute and text escaped, and text cut or wrapped to a width. Pure.

A server cannot measure text, so widths are conservative estimates for the widest common sans-serif typeface. Colours
come from the classes in static/pictures.css. Nothing here writes a style attribute.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

_WIDE, _NARROW = set("MWmw@%—→✓✕"), set("iljtfrI.,:;|!'()[]/ ")
SIZE = 12
"""The smallest text size, in units of the picture, which are CSS pixels if the picture has its natural size."""


def tag(name: str, /, *children: str | Markup, **attributes: object) -> Markup:
    """Return `<name attributes>children</name>`.

    `class_` becomes class, `stroke_width` becomes stroke-width, and attributes that are None or "" are left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_number(value)}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    inside = "".join(map(escape, children))
    return Markup(
        f"<{name}{written}>{inside}</{name}>"
    )  # every part is already escaped, and a page has thousands of them


def text(x: float, y: float, content: str, *, whole: str = "", **attributes: object) -> Markup:
    """Return a text with its baseline at y. `whole` is the tooltip if the text had to be cut."""
    title = tag("title", whole) if whole and whole != content else Markup()
    return tag("text", title, content, x=x, y=y, **attributes)


def width(content: str, size: float = SIZE) -> float:
    """Return the estimated width of the text."""
    return size * sum(0.95 if c in _WIDE else 0.38 if c in _NARROW else 0.62 for c in content)


def cut(content: str, room: float, size: float = SIZE) -> str:
    """Return the text, cut with an ellipsis if it does not fit."""
    if width(content, size) <= room:
        return content
    while content and width(content + "…", size) > room:
        content = content[:-1]
    return content.rstrip() + "…"


def wrap(content: str, room: float, lines: int, size: float = SIZE) -> list[str]:
    """Break the text between words into at most this many lines. The last line is cut if necessary."""
    words, wrapped = content.split(), [""]
    while words:
        longer = f"{wrapped[-1]} {words[0]}".strip()
        if width(longer, size) <= room or not wrapped[-1]:
            wrapped[-1] = longer
            words.pop(0)
        elif len(wrapped) == lines:
            wrapped[-1] = f"{wrapped[-1]} {' '.join(words)}"
            break
        else:
            wrapped.append("")
    return [cut(line, room, size) for line in wrapped if line]


def drawing(wide: float, high: float, title: str, desc: str, parts: Iterable[Markup], **attributes: object) -> Markup:
    """Return the whole picture.

    The stylesheet makes it as wide as its container, but not wider than its natural size.
    """
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
