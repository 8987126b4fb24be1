"""The network as a picture: routers, each with the subnets that only it is in, and the segments that join them. Pure.

netlab Topology ──▶ a graph of routers and joining segments ──▶ layers.arrange ──▶ SVG, coloured by static/pictures.css
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from markupsafe import Markup

from app.web.pictures.layers import Layout, Node, arrange
from app.web.pictures.svg import SIZE, cut, drawing, tag, text, width
from netlab.topology.segments import IfaceRef, Segment
from netlab.topology.topology import Topology

PAD, HEAD, LINE, PILL = 12, 32, 18, 24
NAME = 13
STRAIGHT = 18
STUBS_SHOWN = 8
BORDER = 8.0
WIDEST_NAME, WIDEST_SUBNET = 200, 170
PROVIDER = "↗"
"""Mark of a segment with a provider's gateway, where packets leave the network."""


@dataclass(frozen=True)
class _Card:
    """A router's box: its name, and a line for each segment that contains no other router."""

    name: str
    stubs: tuple[tuple[str, Segment], ...]
    """(interfaces, segment) of each of these segments."""
    labels: tuple[str, ...]
    """Interfaces of the lines to other routers, which need space along the edge of the box."""

    @property
    def size(self) -> tuple[float, float]:
        named = min(width(self.name, NAME) * 1.1, WIDEST_NAME)  # bold text
        inside = max([named, *(self.column + width(_subnet(segment)) for _, segment in self.stubs)])
        along = sum(max(width(label) + 10, 30) for label in self.labels)
        lines = min(len(self.stubs), STUBS_SHOWN + 1)
        high = HEAD + (LINE * lines + 6 if lines else 0)
        return max(96.0, inside + 2 * PAD, along + 8), float(high)

    @property
    def column(self) -> float:
        """X of the column of subnets, right of the longest interface name."""
        return max((width(cut(names, 70)) for names, _ in self.stubs), default=0) + 10


def network_picture(topology: Topology, *, href: Callable[[str], str]) -> Markup:
    """Return the picture of a network in a frame that scrolls horizontally. Each router links to `href(its name)`.

    A segment with one router is a line in that router's box. A segment with several routers is drawn between them. The
    router's title contains everything in the box, including what did not fit.
    """
    joining = {n: s for n, s in enumerate(topology.segments) if len(_routers(s)) > 1}
    cards = {name: _card(topology, name) for name in sorted(topology.routers)}
    graph: dict[Node, list[Node]] = {name: [] for name in cards}
    for n, segment in joining.items():
        graph[n] = list(_routers(segment))
        for router in graph[n]:
            graph[router].append(n)
    sizes: dict[Node, tuple[float, float]] = {name: card.size for name, card in cards.items()}
    sizes |= {n: _pill_size(segment) for n, segment in joining.items()}
    layout = arrange(graph, sizes, list(cards))
    edges = [_Edge(port, n) for n, segment in joining.items() for port in segment.ports]
    parts = [*_edges(edges, layout, sizes)]
    parts += [_pill(segment, layout, n, sizes[n]) for n, segment in joining.items()]
    parts += [_drawn_card(card, layout, href(name)) for name, card in cards.items()]
    moved = tag("g", *parts, transform=f"translate({BORDER:g} {BORDER:g})")
    size = layout.width + 2 * BORDER, layout.height + 2 * BORDER
    title = f"The network: {len(cards)} routers, {len(topology.segments)} segments"
    svg = drawing(*size, title, _in_words(joining.values()), [moved], class_="np", role="group")
    return tag("div", svg, class_="np-frame")


@dataclass(frozen=True)
class _Edge:
    port: IfaceRef
    segment: int


def _routers(segment: Segment) -> list[str]:
    return list(dict.fromkeys(port.router for port in segment.ports))


def _card(topology: Topology, name: str) -> _Card:
    stubs, labels = [], []
    for segment in topology.segments:
        interfaces = [port.interface for port in segment.ports if port.router == name]
        if interfaces and len(_routers(segment)) == 1:
            stubs.append((", ".join(interfaces), segment))
        else:
            labels += interfaces
    stubs.sort(key=lambda stub: (bool(stub[1].gateways), stub[1].networks))
    return _Card(name, tuple(stubs), tuple(labels))


def _subnet(segment: Segment) -> str:
    return cut(f"{segment.name} {PROVIDER}" if segment.gateways else segment.name, WIDEST_SUBNET)


def _about(segment: Segment) -> str:
    """Describe a segment, for example as `10.255.1.0/29: hq-core eth0, hq-gw eth0; leaves the network via 10.255.1.6`."""
    ports = ", ".join(f"{port.router} {port.interface}" for port in segment.ports)
    out = ", ".join(map(str, sorted(segment.gateways)))
    return f"{segment.name}: {ports}" + (f"; leaves the network via {out}" if out else "")


def _drawn_card(card: _Card, layout: Layout, href: str) -> Markup:
    place, (wide, high) = layout.places[card.name], card.size
    x, y = place.x - wide / 2, place.y
    title = tag("title", "\n".join([card.name, *(_about(segment) for _, segment in card.stubs)]))
    parts = [
        tag("rect", x=x, y=y, width=wide, height=high, rx=8, class_="np-card"),
        text(
            x + wide / 2,
            y + 21,
            cut(card.name, wide - 12, NAME),
            class_="np-name",
            text_anchor="middle",
            font_size=NAME,
        ),
    ]
    if card.stubs:
        parts.append(tag("line", x1=x, x2=x + wide, y1=y + HEAD - 1, y2=y + HEAD - 1, class_="np-rule"))
    shown = card.stubs if len(card.stubs) <= STUBS_SHOWN + 1 else card.stubs[:STUBS_SHOWN]
    for n, (interfaces, segment) in enumerate(shown):
        base = y + HEAD + 14 + LINE * n
        kind = "np-subnet np-provider" if segment.gateways else "np-subnet"
        parts.append(text(x + PAD, base, cut(interfaces, 70), class_="np-interface"))
        parts.append(text(x + PAD + card.column, base, _subnet(segment), class_=kind))
    if len(shown) < len(card.stubs):
        more = f"and {len(card.stubs) - len(shown)} more"
        parts.append(text(x + PAD, y + HEAD + 14 + LINE * len(shown), more, class_="np-interface"))
    return tag("a", title, *parts, href=href, class_="np-router")


def _pill_size(segment: Segment) -> tuple[float, float]:
    return max(width(_subnet(segment)) + 22, 34.0 * len(segment.ports)), float(PILL)


def _pill(segment: Segment, layout: Layout, node: Node, size: tuple[float, float]) -> Markup:
    """Draw a segment: a pill for two routers, a bar for more."""
    place, (wide, high) = layout.places[node], size
    shared = len(_routers(segment)) > 2
    shape = tag("rect", x=place.x - wide / 2, y=place.y, width=wide, height=high, rx=4 if shared else high / 2)
    label = text(place.x, place.y + 16, _subnet(segment), text_anchor="middle")
    kind = "np-segment np-shared" if shared else "np-segment"
    return tag("g", tag("title", _about(segment)), shape, label, class_=kind)


def _edges(edges: list[_Edge], layout: Layout, sizes: dict[Node, tuple[float, float]]) -> Iterable[Markup]:
    """Draw the lines first and then the names of interfaces, so that no line crosses a name."""
    lines, names = [], []
    for edge in edges:
        card, pill = layout.places[edge.port.router], layout.places[edge.segment]
        down = card.layer < pill.layer
        x1 = _end(edge, edges, layout, sizes, at_router=True)
        x2 = _end(edge, edges, layout, sizes, at_router=False)
        y1 = card.y + (sizes[edge.port.router][1] if down else 0)
        y2 = pill.y + (0 if down else PILL)
        straight = card.foot + STRAIGHT if down else y1 - STRAIGHT  # past the neighbouring boxes, and past its name
        middle = (straight + y2) / 2
        d = f"M{x1:.1f} {y1:.1f}V{straight:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
        lines.append(tag("path", d=d, class_="np-link"))
        label = cut(edge.port.interface, 80, SIZE)
        base = y1 + (15 if down else -7)
        names.append(
            text(x1, base, label, whole=edge.port.interface, class_="np-interface np-halo", text_anchor="middle")
        )
    return [*lines, *names]


def _end(
    edge: _Edge, edges: list[_Edge], layout: Layout, sizes: dict[Node, tuple[float, float]], *, at_router: bool
) -> float:
    """Return the position of a line's end along a box's edge. Lines on one side are in the order of their far ends."""

    def own(e: _Edge) -> Node:
        return e.port.router if at_router else e.segment

    def far(e: _Edge) -> Node:
        return e.segment if at_router else e.port.router

    node = own(edge)
    layer = layout.places[far(edge)].layer
    beside = [e for e in edges if own(e) == node and layout.places[far(e)].layer == layer]
    beside.sort(key=lambda e: (layout.places[far(e)].x, e.port))
    room = [max(width(e.port.interface) + 10, 30) if at_router else 26.0 for e in beside]
    before = sum(room[: beside.index(edge)]) + room[beside.index(edge)] / 2
    return layout.places[node].x - sum(room) / 2 + before


def _in_words(joining: Iterable[Segment]) -> str:
    return "; ".join(_about(segment) for segment in joining) or "No segment joins two routers."
