"""The path picture: where it ends, the return path, rows, and that hostile text is escaped."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answers import paths
from app.answers.paths import Group, ServicePath
from app.web.pictures import svg
from app.web.pictures.path_grid import DESK, NARROW_BOX, PHONE, ROOM
from app.web.pictures.path_nodes import router_actions
from app.web.pictures.path_picture import path_picture
from tests.support.results import document, hop, policy, read, router, rule, sample, service

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "\"><script>alert(1)</script><b a='&amp;"


def service_path(result: dict[str, Any], index: int = 0) -> ServicePath:
    return paths.service_path(read(result), index)


def path_groups(result: dict[str, Any]) -> list[Group]:
    typed = read(result)
    return paths.path_groups(typed, paths.service_paths(typed))


def drawn(result: dict[str, Any], index: int = 0, **other: Any) -> ElementTree.Element:
    return ElementTree.fromstring(path_picture(service_path(result, index), **other))


def said(picture: ElementTree.Element, class_: str) -> list[str]:
    """Texts of a class, without their tooltips."""
    found = [text for text in picture.iter(f"{SVG}text") if class_ in (text.get("class") or "").split()]
    return [(text[-1].tail if len(text) else text.text) or "" for text in found]


def boxes(picture: ElementTree.Element) -> list[tuple[str, str, float, float]]:
    """(name, classes, x, y) of each box in the order drawn."""
    found = []
    for group in picture.iter(f"{SVG}g"):
        rect = next(group.iter(f"{SVG}rect"), None)
        assert rect is not None
        name = said(group, "pp-name")[0]
        found.append((name, group.get("class") or "", float(rect.get("x") or 0), float(rect.get("y") or 0)))
    return found


def classes(picture: ElementTree.Element, tag: str, class_: str) -> list[ElementTree.Element]:
    return [element for element in picture.iter(SVG + tag) if class_ in (element.get("class") or "").split()]


def links(picture: ElementTree.Element) -> list[str]:
    return [link.get("href") or "" for link in picture.iter(f"{SVG}a")]


def test_routers_in_order_with_their_interfaces() -> None:
    picture = drawn(sample("quick"), 1, per_row=8)
    names = [name for name, *_ in boxes(picture)]
    assert names == ["10.1.10.20", "hq-core", "hq-gw", "wan-1", "dc-gw", "dc-fw", "dc-core", "10.3.20.8"]
    assert said(picture, "pp-interface") == [
        *["eth1", "eth0", "eth0", "eth1", "eth0", "eth1", "eth0", "eth2", "eth0", "eth1", "bond0", "eth2"]
    ]
    assert said(picture, "pp-state")[0] == "source"
    assert said(picture, "pp-state")[-1] == "✓ reached"
    assert not classes(picture, "line", "pp-bar")
    assert not classes(picture, "line", "pp-dim")


def test_it_stops_at_the_first_no_and_dims_what_follows() -> None:
    picture = drawn(sample("quick"), 0, per_row=8)
    found = {name: kind for name, kind, *_ in boxes(picture)}
    assert found["dc-gw"] == "pp-router pp-yes"
    assert found["dc-fw"] == "pp-router pp-no"
    assert found["dc-core"] == "pp-router pp-no pp-dim"
    assert found["10.3.20.8"] == "pp-host pp-plain pp-dim"
    (bar,) = classes(picture, "line", "pp-bar")
    (blocker,) = [x for name, _, x, _ in boxes(picture) if name == "dc-fw"]
    assert float(bar.get("x1") or 0) > blocker + NARROW_BOX
    assert len(classes(picture, "line", "pp-link")) == 7
    assert len(classes(picture, "line", "pp-dim")) == 2
    assert said(picture, "pp-state")[5:] == ["✕ drops", "✕ would block", "✕ not reached"]


def test_the_rule_stands_beneath_the_router_that_blocks_and_in_full_in_its_tooltip() -> None:
    picture = drawn(sample("quick"), 0)
    assert said(picture, "pp-rule") == ["policy DROP of", "FORWARD", "forward rule 10"]
    assert said(picture, "pp-where") == ["iptables.rules:4", "nft.rules:44"]
    titles = [title.text for title in picture.iter(f"{SVG}title")]
    assert "policy DROP of FORWARD of table filter (dc-fw/iptables.rules:4)" in titles


def test_a_long_rule_is_cut_and_its_whole_kept() -> None:
    chains = ("FORWARD", "a-chain-with-a-rather-long-name-of-its-own", "another-one-that-is-no-shorter")
    picture = drawn(document([service("22/tcp", "NO")], [router("r", 1, {"22/tcp": ("NO", rule(chains=chains))})]))
    lines = said(picture, "pp-rule")
    assert len(lines) <= 4
    assert any(line.endswith("…") for line in lines)
    whole = f"{' → '.join(chains)} rule 7 of table filter: -j DROP (r/iptables.rules:31)"
    assert whole in [title.text for title in picture.iter(f"{SVG}title")]


def test_what_no_rule_stops_says_its_reason() -> None:
    picture = drawn(document([service("22/tcp", "NO", reason="r has no route")], [router("r", 1, {"22/tcp": "NO"})]))
    assert said(picture, "pp-rule") == ["r has no route"]
    assert "✕ stops it" in said(picture, "pp-state")


def test_unknown_is_neither_yes_nor_no() -> None:
    unknown = document(
        [service("22/tcp", "UNKNOWN", reason="several far ends")], [router("r", 1, {"22/tcp": "UNKNOWN"})]
    )
    picture = drawn(unknown)
    assert said(picture, "pp-state") == ["source", "? unknown", "? unknown"]
    assert [bar.get("class") for bar in classes(picture, "line", "pp-bar")] == ["pp-bar pp-unknown"]
    assert not any("pp-no" in (element.get("class") or "") for element in picture.iter())
    assert [group.caption for group in path_groups(unknown)] == ["22/tcp: unknown: several far ends"]


def test_lost_between_the_last_router_and_the_host() -> None:
    lost = document([service("22/tcp", "UNKNOWN", reason="nobody answers")], [router("r", 1, {"22/tcp": "YES"})])
    picture = drawn(lost)
    (bar,) = classes(picture, "line", "pp-bar")
    (_, (_, _, router_x, _), (_, _, host_x, _)) = boxes(picture)
    assert router_x + NARROW_BOX < float(bar.get("x1") or 0) < host_x
    assert said(picture, "pp-rule") == ["nobody answers"]


def test_no_router_at_all() -> None:
    picture = drawn(document([service("icmp", "YES")]))
    assert [name for name, *_ in boxes(picture)] == ["10.1.10.20", "10.3.20.8"]
    assert "no router on the way; reached" in (picture.findtext(f"{SVG}desc") or "")


def test_the_reply_lies_beneath_router_by_router_from_right_to_left() -> None:
    picture = drawn(sample("detailed"), 2, per_row=8)
    assert said(picture, "pp-caption") == ["request →", "← reply"]
    there, back = boxes(picture)[:8], boxes(picture)[8:]
    assert [name for name, *_ in back] == [
        "10.3.20.8",
        "dc-core",
        "dc-fw",
        "dc-gw",
        "wan-1",
        "hq-gw",
        "hq-core",
        "10.1.10.20",
    ]
    assert min(y for *_, y in back) > max(y for *_, y in there)
    at = {name: x for name, _, x, _ in there}
    assert all(at[name] == x for name, _, x, _ in back if name != "wan-1")
    assert next(x for name, _, x, _ in back if name == "wan-1") == at["wan-2"]
    assert [x for *_, x, _ in back] == sorted((x for *_, x, _ in back), reverse=True)


def test_a_reply_that_is_stopped() -> None:
    picture = drawn(sample("detailed-nat"), 0)
    there, back = boxes(picture)[:5], boxes(picture)[5:]
    assert [(name, kind) for name, kind, *_ in back] == [
        ("8.8.8.8", "pp-host pp-plain"),
        ("edge", "pp-router pp-no"),
        ("10.1.10.20", "pp-host pp-plain pp-dim"),
    ]
    assert {name: x for name, _, x, _ in there}["edge"] == {name: x for name, _, x, _ in back}["edge"]
    (bar,) = classes(picture, "line", "pp-bar")
    assert float(bar.get("x1") or 0) < back[1][2], "it stops on its way to the left"
    assert said(picture, "pp-state")[-1] == "✕ no answer"
    assert said(picture, "pp-rule") == ["PREROUTING rule 3"]


def test_nat_is_shown_where_it_happens() -> None:
    picture = drawn(sample("detailed-nat"), 0)
    assert " ".join(said(picture, "pp-nat")) == "NAT 10.1.10.20 → 203.0.113.2"
    whole = "NAT 10.1.10.20:49184 → 8.8.8.8:80 becomes 203.0.113.2:49184 → 8.8.8.8:80"
    assert whole in [title.text for title in picture.iter(f"{SVG}title")]
    assert whole in (picture.findtext(f"{SVG}desc") or "")


def test_nat_names_ports_only_where_they_change() -> None:
    nat = {"before": "10.1.1.1:5 → 192.0.2.1:80", "after": "10.1.1.1:5 → 10.3.3.3:8080"}
    hops = [hop("r", "request", nat=nat), hop("r", "reply")]
    found = service_path(document([service("80/tcp", "YES", hops=hops)], mode="detailed"), 0)
    assert found.request.stops[0].nat == "192.0.2.1:80 → 10.3.3.3:8080"


def test_a_request_that_was_refused_by_the_host_did_arrive() -> None:
    refused = service("80/tcp", "UNKNOWN", outcome="REFUSED", hops=[hop("r", "request")])
    found = service_path(document([refused], mode="detailed"), 0)
    assert found.request.result == "YES"
    assert found.reply is not None
    assert found.reply.result == "UNKNOWN"


def test_a_router_whose_rules_pass_what_has_no_way_on_is_where_it_ends() -> None:
    nowhere = service(
        "80/tcp", "NO", blocked="request", blocked_by=["r"], reason="loop: r → s → r", hops=[hop("r", "request")]
    )
    found = service_path(document([nowhere], mode="detailed"), 0)
    assert found.request.end == 0
    assert found.reply is None


def test_a_caption_says_how_far_was_looked() -> None:
    services = [service("80/tcp", "YES", hops=[hop("r", "request"), hop("r", "reply")])]
    assert path_groups(document(services, mode="detailed"))[0].caption == "80/tcp: works in both directions"
    quick = document([service("80/tcp", "YES")], [router("r", 1, {"80/tcp": "YES"})])
    assert path_groups(quick)[0].caption == "80/tcp: request arrives"


def test_services_of_one_look_are_one_group() -> None:
    found = path_groups(sample("quick"))
    assert [(group.indices, group.result, group.caption) for group in found] == [
        ((0,), "NO", "22/tcp: blocked by dc-fw"),
        ((1, 4), "YES", "80/tcp, icmp: request arrives"),
        ((2,), "YES", "443/tcp: request arrives"),
        ((3,), "NO", "53/udp: blocked by dc-gw"),
    ]
    captions = [group.caption for group in path_groups(sample("detailed-nat"))]
    assert captions == ["80/tcp, 443/tcp: the reply is blocked by edge", "53/udp: blocked by edge"]


def test_another_blocking_rule_is_another_group() -> None:
    cells = {"22/tcp": ("NO", rule()), "23/tcp": ("NO", policy())}
    result = document([service("22/tcp", "NO"), service("23/tcp", "NO")], [router("r", 1, cells)])
    assert [group.indices for group in path_groups(result)] == [(0,), (1,)]


def long_path(hops: int) -> dict[str, Any]:
    return document([service("22/tcp", "YES")], [router(f"core-{n}", n, {"22/tcp": "YES"}) for n in range(1, hops + 1)])


def test_a_path_through_six_routers_is_one_row_of_a_desk_at_natural_size() -> None:
    for name in ("quick", "detailed"):
        picture = drawn(sample(name), 0)
        assert len({y for *_, y in boxes(picture)}) == 1
        assert float(picture.get("width") or 0) <= ROOM
        assert "bond0" in said(drawn(sample(name), 1), "pp-interface")


@pytest.mark.parametrize("hops", range(31))
def test_no_row_of_a_desk_is_wider_than_a_card(hops: int) -> None:
    picture = drawn(long_path(hops))
    assert float(picture.get("width") or 0) <= ROOM
    assert not classes(picture, "path", "pp-turn") or hops + 2 > DESK


def test_a_long_address_is_never_cut() -> None:
    address = "192.168.100.200"
    picture = drawn(document([service("22/tcp", "YES")], long_path(6)["routers"], source=address))
    assert said(picture, "pp-name")[0] == address
    rect = next(picture.iter(f"{SVG}rect"))
    assert float(rect.get("width") or 0) > svg.width(address)
    assert float(rect.get("x") or 0) >= 0


def test_routers_and_rules_lead_to_the_routers_page() -> None:
    assert links(drawn(sample("quick"), 0)) == [
        *("/network/hq-core", "/network/hq-gw", "/network/wan-1", "/network/dc-gw"),
        *("/network/dc-fw", "/network/dc-fw#iptables.rules-4", "/network/dc-core", "/network/dc-core#nft.rules-44"),
    ]


def test_what_stands_beneath_the_picture_as_text() -> None:
    stops = [line for line in router_actions(service_path(sample("quick"), 0)) if line.result != "YES"]
    assert [(line.router, line.text, line.line) for line in stops] == [
        ("dc-fw", "policy DROP of FORWARD", "iptables.rules:4"),
        ("dc-core", "forward rule 10: reject with icmpx admin-prohibited", "nft.rules:44"),
    ]
    assert stops[1].does == "would block"
    (back,) = [line for line in router_actions(service_path(sample("detailed-nat"), 0)) if line.result != "YES"]
    assert (back.direction, back.line_href) == ("reply", "/network/edge#iptables.rules-7")
    nothing = [line for line in router_actions(service_path(sample("detailed"), 2)) if line.router == "wan-2"]
    assert [line.text for line in nothing] == ["no rule: nothing filters here"]


def test_a_router_further_on_that_a_detailed_run_only_names() -> None:
    result = sample("detailed")
    picture = drawn(result, 0)
    assert boxes(picture)[-2][:2] == ("dc-core", "pp-router pp-no pp-dim")
    assert said(picture, "pp-state")[-3:] == ["✕ drops", "✕ would block", "✕ not reached"]
    found = service_path(result, 0).request
    assert (found.also, found.passed[-1]) == (["dc-core"], "dc-fw")
    for other in ({"result": "YES", "blocked": None}, {"blocked": "reply"}):  # the quick result was wrong
        result["services"][0] |= other
        assert service_path(result, 0).request.also == []


@pytest.mark.parametrize("per_row", [1, PHONE, 3, 5, 30])
@pytest.mark.parametrize("hops", [0, 1, 3, 6, 20])
def test_rows_hold_no_more_than_they_may_and_stay_inside(hops: int, per_row: int) -> None:
    picture = drawn(long_path(hops), per_row=per_row)
    _, _, wide, high = map(float, (picture.get("viewBox") or "").split())
    rows: dict[float, list[float]] = {}
    for _, _, x, y in boxes(picture):
        rows.setdefault(y, []).append(x)
        assert 0 <= x <= wide - NARROW_BOX
        assert 0 <= y <= high - 48
    assert sum(map(len, rows.values())) == hops + 2
    assert max(map(len, rows.values())) <= per_row
    assert all(b - a > NARROW_BOX for xs in rows.values() for a, b in pairwise(xs))
    assert len(classes(picture, "path", "pp-turn")) == 2 * (len(rows) - 1), (
        "a mark where a row ends and where it begins"
    )


def test_rows_for_a_phone_fit_one() -> None:
    width = float(drawn(sample("quick"), 0, per_row=PHONE).get("width") or 0)
    assert width <= 380


def test_in_more_than_two_rows_the_reply_follows_the_request() -> None:
    picture = drawn(sample("detailed"), 2, per_row=PHONE)
    assert said(picture, "pp-caption") == ["request →", "← reply"]
    there, back = boxes(picture)[:8], boxes(picture)[8:]
    assert min(y for *_, y in back) > max(y for *_, y in there)
    assert back[0][2] > back[1][2]
    assert back[0][3] < back[-1][3]


@pytest.mark.parametrize("per_row", [2, 6])
def test_nothing_hostile_gets_through(per_row: int) -> None:
    stop = rule(HOSTILE, chains=("FORWARD", HOSTILE), file=HOSTILE)
    result = document(
        [service("22/tcp", "NO", reason=HOSTILE), service("23/tcp", "UNKNOWN", reason=HOSTILE)],
        [router(HOSTILE, 1, {"22/tcp": ("NO", stop), "23/tcp": "UNKNOWN"}, HOSTILE, HOSTILE)],
        source=HOSTILE,
        destination=HOSTILE,
    )
    for index in (0, 1):
        markup = str(path_picture(service_path(result, index), per_row=per_row))
        picture = ElementTree.fromstring(markup)  # still well-formed
        assert {element.tag.removeprefix(SVG) for element in picture.iter()} == {
            *("svg", "title", "desc", "g", "a", "rect", "line", "path", "text")
        }
        assert all(re.fullmatch(r"/network/[\w%.~-]+(#[\w%.~-]+)?", address) for address in links(picture))
        assert not re.search(r"\s(style|on\w+)=", re.sub(r">[^<]*<|\"[^\"]*\"", "><", markup))


def test_it_has_a_name_and_a_description() -> None:
    picture = drawn(sample("quick"), 0)
    assert picture.get("role") == "group"
    assert picture[0].text == "Path of 22/tcp from 10.1.10.20 to 10.3.20.8: NO"
    desc = picture.findtext(f"{SVG}desc") or ""
    assert "22/tcp from 10.1.10.20 to 10.3.20.8: NO, blocked by dc-fw." in desc
    assert "dc-fw (in eth0, out eth1) drops, policy DROP of FORWARD (dc-fw/iptables.rules:4)" in desc
    sizes = [float(text.get("font-size") or 12) for text in picture.iter(f"{SVG}text")]
    assert min(sizes) >= 12


@given(st.text(), st.floats(0, 400), st.integers(1, 5))
def test_wrapped_text_keeps_to_its_room(words: str, room: float, lines: int) -> None:
    found = svg.wrap(words, room, lines)
    assert len(found) <= lines
    assert all(svg.width(line) <= room or line == "…" for line in found)
    if "…" not in "".join(found):
        assert " ".join(found).split() == words.split()
