"""Writes small networks as facts, in the exact format of the routers' tools, from a line or two per router."""

from __future__ import annotations

import json
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

Rules = list[dict[str, Any]]
DEFAULT_RULES: Rules = [
    {"priority": 0, "src": "all", "table": "local"},
    {"priority": 32766, "src": "all", "table": "main"},
    {"priority": 32767, "src": "all", "table": "default"},
]


def write_router(
    network: Path,
    name: str,
    interfaces: dict[str, str],
    routes: str = "",
    *,
    rules: Rules | None = None,
    filter_: str = "",
    iptables: str = "",
    ipset: str = "",
    nft: str = "",
) -> None:
    """`interfaces`: name -> address/length; `routes`: one `ip route` line each; `filter_`: lines of table filter.

    A line `-P CHAIN POLICY` of `filter_` is written as iptables-save prints it.
    """
    folder = network / name
    folder.mkdir(parents=True)
    (folder / "addr.json").write_text(
        _lines([_interface("lo", "127.0.0.1/8"), *map(_interface_of, interfaces.items())])
    )
    connected = [_connected(device, address) for device, address in interfaces.items()]
    (folder / "routes.json").write_text(
        _lines(connected + [route(line) for line in routes.splitlines() if line.strip()])
    )
    if rules is not None:
        (folder / "rules.json").write_text(_lines(sorted([*DEFAULT_RULES, *rules], key=lambda r: r["priority"])))
    if filter_:
        iptables += (
            "*filter\n" + "\n".join(_saved(line.strip()) for line in filter_.strip().splitlines()) + "\nCOMMIT\n"
        )
    for file, text in (("iptables.rules", iptables), ("ipset.rules", ipset), ("nft.rules", nft)):
        if text:
            (folder / file).write_text("\n".join(line.strip() for line in text.strip().splitlines()) + "\n")


def route(line: str) -> dict[str, Any]:
    """`default via 10.0.0.1 dev eth0 table 100` as `ip -j route show table all` prints it."""
    words = line.split()
    entry: dict[str, Any] = {"flags": []}
    if words[0] in ("blackhole", "unreachable", "prohibit", "throw", "local"):
        entry["type"] = words.pop(0)
    entry["dst"] = words.pop(0)
    if words and words[-1] == "onlink":
        entry["flags"].append(words.pop())
    names = {"via": "gateway", "dev": "dev", "table": "table", "scope": "scope", "src": "prefsrc", "tos": "tos"}
    for key, value in zip(words[::2], words[1::2], strict=True):
        entry[names[key]] = value
    return entry


def _saved(line: str) -> str:
    words = line.split()
    return f":{words[1]} {words[2]} [0:0]" if words[:1] == ["-P"] else line


def _interface_of(item: tuple[str, str]) -> dict[str, Any]:
    return _interface(*item)


def _interface(name: str, address: str) -> dict[str, Any]:
    at = IPv4Interface(address)
    flags = ["LOOPBACK", "UP", "LOWER_UP"] if name == "lo" else ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"]
    if name.startswith(("wg", "tun")):
        flags = ["POINTOPOINT", "NOARP", "UP", "LOWER_UP"]
    info = {"family": "inet", "local": str(at.ip), "prefixlen": at.network.prefixlen, "scope": "global", "label": name}
    return {"ifname": name, "flags": flags, "mtu": 1500, "link_type": "ether", "addr_info": [info]}


def _connected(device: str, address: str) -> dict[str, Any]:
    at = IPv4Interface(address)
    return {
        "dst": str(at.network),
        "dev": device,
        "protocol": "kernel",
        "scope": "link",
        "prefsrc": str(at.ip),
        "flags": [],
    }


def _lines(entries: list[dict[str, Any]]) -> str:
    return "[" + ",\n".join(json.dumps(entry) for entry in entries) + "]\n"
