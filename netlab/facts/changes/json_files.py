"""The statements of the JSON files: interfaces, addresses, routes, policy rules and settings. Pure. ip(8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from netlab.facts.changes.document import Part
from netlab.facts.changes.listings import Listings
from netlab.facts.changes.sequences import Item
from netlab.facts.json_lines import parse_entries
from netlab.facts.meaning import iproute

Data = dict[str, Any]
_WORDS = {"gateway": "via", "protocol": "proto", "prefsrc": "src"}
"""Field of a route -> the word for it in the output of `ip route`."""


def entries(file: str, text: str) -> bytes:
    """Return the meaning of a JSON file, as the facts hash has it."""
    return iproute.entries(file, parse_entries(text)[0])


def listings(file: str, before: str, after: str) -> tuple[Listings, Listings]:
    """Return the statements of a JSON file in both snapshots.

    Routes to a destination with the same routes on both sides are left out: there can be a million.
    """
    old, new = _entries(file, before), _entries(file, after)
    if file == "routes.json":
        old_routes, new_routes = _by_destination(old), _by_destination(new)
        differ = {key for key in old_routes.keys() | new_routes.keys() if old_routes.get(key) != new_routes.get(key)}
        old, new = ([(line, data) for line, data in side if _destination(data) in differ] for side in (old, new))
    found = Listings(), Listings()
    for side, listed in zip((old, new), found, strict=True):
        for line, data in side:
            _READERS[file](line, data, listed)
    return found


def _entries(file: str, text: str) -> list[tuple[int, Data]]:
    """Return (line, data) of each entry that counts, in the order of the facts hash."""
    read = parse_entries(text)[0]
    listed = [
        (entry.line, iproute.without_volatile(entry.data)) for entry in read if not iproute.of_an_address(entry.data)
    ]
    if file in iproute.ORDER:
        key = iproute.ORDER[file]
        listed.sort(key=lambda entry: key(entry[1]))
    return listed


def _destination(route: Data) -> tuple[str, str]:
    return str(route.get("table", "main")), str(route.get("dst", ""))


def _by_destination(routes: list[tuple[int, Data]]) -> dict[tuple[str, str], list[bytes]]:
    found: dict[tuple[str, str], list[bytes]] = {}
    for _, data in routes:
        found.setdefault(_destination(data), []).append(iproute.encode(data))
    return found


def _interface(line: int, data: Data, found: Listings) -> None:
    name = str(data.get("ifname", ""))
    own = {key: value for key, value in data.items() if key != "addr_info"}
    found.add(Part.INTERFACES, "", _item(own, line, name, leave_out=("ifname",)))
    addresses = data.get("addr_info")
    for address in addresses if isinstance(addresses, list) else ():
        if isinstance(address, dict):
            rest = {
                key: value for key, value in address.items() if key not in ("family", "local", "prefixlen", "address")
            }
            peer = f" peer {address['address']}" if "address" in address else ""
            text = f"{name} {address.get('local', '')}{peer}/{address.get('prefixlen', '')} {_phrase(rest)}"
            found.add(Part.ADDRESSES, name, Item(_meaning(address), text.strip(), line))


def _route(line: int, data: Data, found: Listings) -> None:
    table, destination = _destination(data)
    kind = [str(data["type"])] if data.get("type", "unicast") != "unicast" else []
    rest = {key: value for key, value in data.items() if key not in ("dst", "type") and value != []}
    text = " ".join([*kind, destination, _phrase(rest)]).strip()
    found.add(Part.ROUTES, "", Item(_meaning(data), text, line, f"{table} {destination}"))


def _policy_rule(line: int, data: Data, found: Listings) -> None:
    prefixes = {"src": "from", "dst": "to"}
    words = [f"{data.get('priority', 0)}:"]
    words += ["not"] if "not" in data else []
    for key, word in prefixes.items():
        if key in data:
            length = f"/{data[key + 'len']}" if key + "len" in data else ""
            words.append(f"{word} {data[key]}{length}")
    rest = {
        key: value for key, value in data.items() if key not in ("priority", "not", "src", "srclen", "dst", "dstlen")
    }
    table = {"lookup": rest.pop("table")} if "table" in rest else {}
    found.add(Part.POLICY_RULES, "", Item(_meaning(data), " ".join([*words, _phrase({**rest, **table})]).strip(), line))


def _settings(line: int, data: Data, found: Listings) -> None:
    family, interface = str(data.get("family", "inet")), str(data.get("interface", ""))
    name = interface if family == "inet" else f"{interface} ({family})"
    found.add(Part.SETTINGS, "", _item(data, line, name, leave_out=("family", "interface")))


_READERS: dict[str, Callable[[int, Data, Listings], None]] = {
    "addr.json": _interface,
    "routes.json": _route,
    "rules.json": _policy_rule,
    "netconf.json": _settings,
}
FILES = frozenset(_READERS)


def _item(data: Data, line: int, key: str, *, leave_out: tuple[str, ...]) -> Item:
    fields = {name: _field(name, value) for name, value in data.items() if name not in leave_out}
    return Item(_meaning(data), " ".join([key, *fields.values()]), line, key, fields)


def _meaning(data: Data) -> str:
    return iproute.encode(data).decode()


def _phrase(data: Data) -> str:
    return " ".join(_phrases(data))


def _phrases(data: Data) -> Iterator[str]:
    for key, value in data.items():
        if key == "nexthops" and isinstance(value, list):
            yield from (f"nexthop {_phrase(hop)}" if isinstance(hop, dict) else str(hop) for hop in value)
        else:
            yield _field(_WORDS.get(key, key), value)


def _field(name: str, value: Any) -> str:
    """Return a field as text, such as `mtu 1500`. A field that only says that it is present is its name."""
    if value is None or (value is True and name != "forwarding"):
        return name
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return f"{name} {','.join(value) or 'none'}"
    if isinstance(value, bool):
        return f"{name} {'on' if value else 'off'}"
    return f"{name} {value if isinstance(value, str | int | float) else _json(value)}"


def _json(value: Any) -> str:
    return iproute.encode(value).decode()
