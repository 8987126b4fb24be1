"""The network picture: complete, without overlaps, the same every time, and escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.pictures.layers import ASIDE, Node, _apart, arrange
from app.web.pictures.network_picture import network_picture
from netlab.facts import reader
from netlab.topology.topology import Topology
from tests.bench.small import write_router

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def campus() -> Topology:
    return Topology(reader.load(ROOT / "networks" / "campus"))


def drawn(topology: Topology) -> ElementTree.Element:
    (picture,) = ElementTree.fromstring(network_picture(topology, href=lambda name: f"/network/{name}"))
    return picture


def linked(picture: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {link.get("href") or "": link for link in picture.iter(f"{SVG}a")}


def texts(element: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()) for text in element.iter(f"{SVG}text")]


def boxes(picture: ElementTree.Element) -> Iterator[Box]:
    for rect in picture.iter(f"{SVG}rect"):
        x, y, wide, high = (float(rect.get(key) or 0) for key in ("x", "y", "width", "height"))
        yield x, y, x + wide, y + high


def overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_every_router_is_a_link_and_lists_the_subnets_only_it_is_in(campus: Topology) -> None:
    links = linked(drawn(campus))
    assert set(links) == {f"/network/{name}" for name in campus.routers}
    assert texts(links["/network/hq-core"]) == [
        *["hq-core", "eth1", "10.1.10.0/24", "eth1.20", "10.1.20.0/24", "eth2", "10.1.99.0/24"]
    ]
    assert texts(links["/network/wan-2"]) == ["wan-2"]
    assert texts(links["/network/edge"])[-1] == "203.0.113.0/29 ↗"


def test_joining_segments_stand_between_with_every_interface_named(campus: Topology) -> None:
    picture = drawn(campus)
    pills = [group for group in picture.iter(f"{SVG}g") if "np-segment" in (group.get("class") or "")]
    joining = [segment for segment in campus.segments if len({port.router for port in segment.ports}) > 1]
    assert sorted(text for pill in pills for text in texts(pill)) == sorted(segment.name for segment in joining)
    shared = [pill for pill in pills if "np-shared" in (pill.get("class") or "")]
    assert [title.text for pill in shared for title in pill.iter(f"{SVG}title")] == [
        "10.255.1.0/29: hq-core eth0, hq-gw eth0, hq-wifi eth0"
    ]
    named = [text for text in picture.iter(f"{SVG}text") if "np-halo" in (text.get("class") or "")]
    ports = sorted(port.interface for segment in joining for port in segment.ports)
    assert sorted("".join(text.itertext()) for text in named) == ports
    assert len([path for path in picture.iter(f"{SVG}path") if path.get("class") == "np-link"]) == len(ports)


def test_it_is_a_group_with_links_not_an_image(campus: Topology) -> None:
    picture = drawn(campus)
    assert picture.get("role") == "group"
    assert picture.findtext(f"{SVG}title") == "The network: 11 routers, 24 segments"
    assert "10.255.100.0/30: br-gw wg0, hq-gw wg0" in (picture.findtext(f"{SVG}desc") or "")
    assert all(link.findtext(f"{SVG}title", "").startswith(name[9:]) for name, link in linked(picture).items())


def test_the_campus_is_no_wider_than_a_desk_and_nothing_covers_anything(campus: Topology) -> None:
    picture = drawn(campus)
    assert float(picture.get("width") or 0) <= 1100
    assert not any(overlap(a, b) for a, b in combinations(boxes(picture), 2))


def network(folder: Path, seed: int, routers: int = 14) -> Topology:
    random = Random(seed)
    interfaces: dict[str, dict[str, str]] = {f"r{n}": {} for n in range(routers)}
    for n in range(routers + 3):
        joined = random.sample(sorted(interfaces), random.choice([1, 2, 2, 2, 3, 5]))
        for host, name in enumerate(joined, start=1):
            interfaces[name][f"eth{len(interfaces[name])}"] = f"10.{n}.0.{host}/24"
    for name, given_ in interfaces.items():
        write_router(folder, name, given_)
    return Topology(reader.load(folder))


@pytest.mark.parametrize("seed", range(6))
def test_boxes_never_overlap_nor_leave_the_picture(tmp_path: Path, seed: int) -> None:
    topology = network(tmp_path, seed)
    picture = drawn(topology)
    wide, high = float(picture.get("width") or 0), float(picture.get("height") or 0)
    found = list(boxes(picture))
    assert len(linked(picture)) == len(topology.routers)
    assert not any(overlap(a, b) for a, b in combinations(found, 2))
    assert all(x >= 0 and y >= 0 and right <= wide and foot <= high for x, y, right, foot in found)


def test_the_same_network_is_drawn_the_same(tmp_path: Path) -> None:
    first, second = (network_picture(network(tmp_path / str(turn), 4), href=lambda name: name) for turn in range(2))
    assert first == second


def test_a_router_with_very_many_subnets_says_how_many_it_does_not_list(tmp_path: Path) -> None:
    write_router(tmp_path, "r1", {f"eth0.{n}": f"10.0.{n}.1/24" for n in range(1, 31)})
    (link,) = linked(drawn(Topology(reader.load(tmp_path)))).values()
    assert texts(link)[-1] == "and 22 more"
    assert (link.findtext(f"{SVG}title") or "").count("\n") == 30


def test_routers_nothing_joins(tmp_path: Path) -> None:
    write_router(tmp_path, "r1", {"eth0": "10.0.1.1/24"})
    write_router(tmp_path, "r2", {})
    picture = drawn(Topology(reader.load(tmp_path)))
    assert len(linked(picture)) == 2
    assert not any(overlap(a, b) for a, b in combinations(boxes(picture), 2))


def test_names_and_links_are_escaped(tmp_path: Path) -> None:
    """Facts with such a name are refused, but the picture does not rely on it."""
    hostile = "\"'><b>&"
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "up": "10.9.0.1/30"})
    write_router(tmp_path, "r2", {"lan": "10.9.0.2/30"})
    found = reader.load(tmp_path)
    routers = tuple(
        replace(r, interfaces=tuple(replace(i, name=i.name.replace("lan", hostile)) for i in r.interfaces))
        for r in found.routers
    )
    markup = network_picture(Topology(replace(found, routers=routers)), href=lambda name: f'/?a="><script>{name}')
    (picture,) = ElementTree.fromstring(markup)  # still well-formed
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} == {
        *("svg", "title", "desc", "g", "a", "rect", "line", "path", "text")
    }
    assert set(linked(picture)) == {'/?a="><script>r1', '/?a="><script>r2'}
    assert hostile in texts(linked(picture)['/?a="><script>r1'])
    assert " style=" not in markup


def test_a_ring_has_no_crossing() -> None:
    graph: dict[Node, list[Node]] = {name: [] for name in "abcdef"}
    for n, (one, other) in enumerate(zip("abcdef", "bcdefa", strict=True)):
        graph[n] = [one, other]
        graph[one].append(n)
        graph[other].append(n)
    layout = arrange(graph, dict.fromkeys(graph, (50.0, 20.0)), list("abcdef"))
    rows: dict[int, int] = {}
    for place in layout.places.values():
        rows[place.layer] = rows.get(place.layer, 0) + 1
    assert max(rows.values()) == 2
    assert layout.width <= 2 * 50 + ASIDE


@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(10, 200)), min_size=1, max_size=12))
def test_neighbours_keep_their_distance_and_order(given_: list[tuple[float, float]]) -> None:
    sizes: dict[Node, tuple[float, float]] = {n: (wide, 20.0) for n, (_, wide) in enumerate(given_)}
    x = _apart(list(sizes), [want for want, _ in given_], sizes)
    for n in range(1, len(given_)):
        assert x[n] - x[n - 1] >= (sizes[n][0] + sizes[n - 1][0]) / 2 + ASIDE - 1e-6


VARIABLE = re.compile(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);")


def palettes(sheet: str) -> tuple[dict[str, str], dict[str, str]]:
    """Light and dark."""
    found = VARIABLE.findall((ROOT / "app" / "web" / "static" / sheet).read_text())
    return {name: light for name, light, _ in found}, {name: dark for name, _, dark in found}


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", palettes("pictures.css"), ids=["light", "dark"])
def test_every_colour_of_the_pictures_can_be_read(palette: dict[str, str]) -> None:
    for name in ("text", "quiet", "yes", "no", "unknown", "accent"):
        for ground in ("ground", "fill", *([f"{name}-fill"] if f"pp-{name}-fill" in palette else [])):
            assert contrast(palette[f"pp-{name}"], palette[f"pp-{ground}"]) >= 4.5, (name, ground)
    for line in ("line", "no", "unknown"):
        assert contrast(palette[f"pp-{line}"], palette["pp-ground"]) >= 3, line


@pytest.mark.parametrize("palette", palettes("reachq.css"), ids=["light", "dark"])
def test_every_colour_of_the_pages_can_be_read(palette: dict[str, str]) -> None:
    for name in ("ink", "soft", "accent", "yes", "no", "unknown", "busy"):
        for ground in ("ground", "paper", "sunken", *([f"{name}-wash"] if f"{name}-wash" in palette else [])):
            assert contrast(palette[name], palette[ground]) >= 4.5, (name, ground)
    assert contrast(palette["accent-ink"], palette["accent"]) >= 4.5
    assert contrast(palette["line-strong"], palette["paper"]) >= 3, "the edge of a field"
