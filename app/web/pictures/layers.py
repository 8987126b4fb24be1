"""Layout of the network picture: layers around one router, with few crossings and lines as straight as possible. Pure.

The graph has two kinds of nodes, routers and the segments that join them, and edges only between nodes of different
kinds. So a breadth-first search from a router puts routers and segments on alternate layers, every edge joins
neighbouring layers, and none needs a bend. Several routers are tried as the first one, and the drawing with the best
balance of few crossings and small size is used.

The same network always gives the same drawing, because nothing is random and ties are broken by the order of the nodes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Node = Hashable
Graph = Mapping[Node, Sequence[Node]]
"""{node: its neighbours, in a fixed order}."""

WIDTH = 1080
"""Width of a drawing above which its width counts against it."""
ASIDE, BELOW, APART = 24, 58, 48
"""Gaps between neighbours in a layer, between layers, and between unconnected parts of the network."""
SWEEPS, TRIED = 10, 40


@dataclass(frozen=True)
class NodePosition:
    """Position of a node: the middle of its top edge, its layer, and the lower end of the layer's tallest node."""

    x: float
    y: float
    layer: int
    foot: float


@dataclass(frozen=True)
class Layout:
    """Positions of all nodes. All x and y are between 0 and the width or height."""

    places: dict[Node, NodePosition]
    width: float
    height: float


def arrange(graph: Graph, sizes: Mapping[Node, tuple[float, float]], roots: Sequence[Node]) -> Layout:
    """Place every node that is connected to one of `roots`. Every part of the network must contain a root.

    `sizes` are (width, height). Unconnected parts are placed side by side up to WIDTH, and then below.
    """
    parts = []
    left = dict.fromkeys(roots)
    while left:
        reached = {node for layer in _layers(graph, next(iter(left))) for node in layer}
        parts.append(_best(graph, sizes, [root for root in left if root in reached]))
        left = dict.fromkeys(root for root in left if root not in reached)
    parts.sort(key=lambda part: -len(part.places))
    return _side_by_side(parts)


def _best(graph: Graph, sizes: Mapping[Node, tuple[float, float]], roots: Sequence[Node]) -> Layout:
    if len(roots) > TRIED:  # large part: only from its centre, which a search from each router finds at low cost
        roots = sorted(roots, key=lambda root: sum(n * len(layer) for n, layer in enumerate(_layers(graph, root))))[:1]
    tried: list[tuple[float, int, Layout]] = []
    for root in roots:
        layers = _ordered(_layers(graph, root), graph)
        layout = _placed(layers, graph, sizes)
        bad = 150 * _crossings(layers, graph) + 3 * max(0, layout.width - WIDTH) + layout.width / 4 + layout.height / 2
        tried.append((bad, len(tried), layout))
    return min(tried)[2]


def _layers(graph: Graph, root: Node) -> list[list[Node]]:
    layers, seen = [[root]], {root}
    while layers[-1]:
        reached = dict.fromkeys(far for node in layers[-1] for far in graph[node] if far not in seen)
        seen |= reached.keys()
        layers.append(list(reached))
    return layers[:-1]


def _ordered(layers: list[list[Node]], graph: Graph) -> list[list[Node]]:
    """Order each layer by the mean position of the neighbours, in sweeps down and up. Returns the best order found."""
    best, least = layers, _crossings(layers, graph)
    for sweep in range(SWEEPS):
        layers = [list(layer) for layer in layers]
        down = sweep % 2 == 0
        for n in range(1, len(layers)) if down else range(len(layers) - 2, -1, -1):
            _sort(layers[n], layers[n - 1 if down else n + 1], graph)
        crossings = _crossings(layers, graph)
        if crossings < least:
            best, least = layers, crossings
    return best


def _sort(layer: list[Node], beside: Sequence[Node], graph: Graph) -> None:
    at = {node: place for place, node in enumerate(beside)}
    target = {node: _mean((at[far] for far in graph[node] if far in at), place) for place, node in enumerate(layer)}
    layer.sort(key=target.__getitem__)


def _mean(values: Iterable[float], otherwise: float) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else otherwise


def _crossings(layers: Sequence[Sequence[Node]], graph: Graph) -> int:
    total = 0
    for upper, lower in pairwise(layers):
        at = {node: place for place, node in enumerate(lower)}
        ends = [sorted(at[far] for far in graph[node] if far in at) for node in upper]
        flat = [end for some in ends for end in some]
        total += sum(1 for n, end in enumerate(flat) for before in flat[:n] if before > end)
    return total


def _placed(layers: list[list[Node]], graph: Graph, sizes: Mapping[Node, tuple[float, float]]) -> Layout:
    """Place each node as near as possible to the middle of its neighbours in the next layer.

    The nodes beside it in its own layer limit how near that is.
    """
    x: dict[Node, float] = {}
    for layer in layers:
        x |= _apart(layer, [0.0] * len(layer), sizes)
    for sweep in range(2 * SWEEPS):
        down = sweep % 2 == 0
        for n in range(1, len(layers)) if down else range(len(layers) - 2, -1, -1):
            near = set(layers[n - 1 if down else n + 1])
            targets = [_mean((x[far] for far in graph[node] if far in near), x[node]) for node in layers[n]]
            x |= _apart(layers[n], targets, sizes)
    left = min(x[node] - sizes[node][0] / 2 for node in x)
    right = max(x[node] + sizes[node][0] / 2 for node in x)
    places: dict[Node, NodePosition] = {}
    y = 0.0
    for n, layer in enumerate(layers):
        foot = y + max(sizes[node][1] for node in layer)
        places |= {node: NodePosition(x[node] - left, y, n, foot) for node in layer}
        y = foot + BELOW
    return Layout(places, right - left, y - BELOW)


def _apart(
    layer: Sequence[Node], targets: Sequence[float], sizes: Mapping[Node, tuple[float, float]]
) -> dict[Node, float]:
    """Return the middles of the nodes, as near to the wanted ones as their order and widths allow.

    This is a least-squares fit, made by pooling nodes that would overlap.
    """
    offsets, at = [], 0.0
    for node in layer:
        offsets.append(at + sizes[node][0] / 2)
        at += sizes[node][0] + ASIDE
    pools: list[tuple[float, int]] = []  # mean shift of neighbours placed at minimum distance, and their number
    for want, offset in zip(targets, offsets, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            before, merged = pools.pop()
            mean, count = (mean * count + before * merged) / (count + merged), count + merged
        pools.append((mean, count))
    shifts = [mean for mean, count in pools for _ in range(count)]
    return {node: offset + shift for node, offset, shift in zip(layer, offsets, shifts, strict=True)}


def _side_by_side(parts: Sequence[Layout]) -> Layout:
    places: dict[Node, NodePosition] = {}
    x = y = shelf = width = 0.0
    for part in parts:
        if x and x + part.width > WIDTH:
            x, y, shelf = 0.0, y + shelf + APART, 0.0
        places |= {node: NodePosition(p.x + x, p.y + y, p.layer, p.foot + y) for node, p in part.places.items()}
        width, shelf = max(width, x + part.width), max(shelf, part.height)
        x += part.width + APART
    return Layout(places, width, y + shelf)
