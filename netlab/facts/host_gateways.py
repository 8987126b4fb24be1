"""Reads hosts.yaml: the operator's choice of a gateway for hosts that could use several. Pure.

    10.50.0.0/24: fw               # a router
    10.50.0.7:
      gateway: ap:upl              # one interface of a router
    10.60.0.0/16: 10.60.0.1        # an address of a router
    10.80.0.9: 52:54:00:12:34:56   # the MAC address of a router's interface

Only the part of YAML that this needs is supported: each address or subnet with its gateway on the same line, or with
the key `gateway` on the next line. Everything else is refused with its line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from netlab.facts.json_lines import Fault

FILE = "hosts.yaml"
_LINE = re.compile(
    r"""(?P<indent>\ *)
        (?P<key>"[^"]*"|'[^']*'|[^\s"'#:{}\[\],&*!|>%@`-][^\s"'#:{}\[\],]*)\ *:
        (?:\ +(?P<value>"[^"]*"|'[^']*'|[^\s"'#{}\[\],&*!|>%@`-][^\s"'#{}\[\],]*))?
        \ *(?:\#.*)?\Z""",
    re.VERBOSE,
)
_IGNORED = re.compile(r"\s*(?:#.*)?\Z|---\s*\Z")


@dataclass(frozen=True)
class HostGateway:
    """The gateway of the hosts in one subnet, as written in the file.

    It is a router, router:interface, an address, or the MAC address of an interface.
    """

    network: IPv4Network
    gateway: str
    line: int
    column: int


class _Bad(Exception):
    def __init__(self, column: int, why: str) -> None:
        super().__init__(f"column {column}: {why}")


def read(text: str) -> tuple[tuple[HostGateway, ...], list[Fault]]:
    """Parse hosts.yaml. Return the gateways in the order of the file, and all faults."""
    found: dict[IPv4Network, HostGateway] = {}
    faults: list[Fault] = []
    opened: tuple[IPv4Network, int, int] | None = None
    """The subnet, line and column of an entry whose gateway must follow on the next line."""
    for number, line in enumerate(text.split("\n"), start=1):
        if _IGNORED.match(line):
            continue
        try:
            match = _LINE.match(line)
            if not match:
                raise _Bad(_column(line), "is not `SUBNET: GATEWAY` (addresses or subnets, and their gateways)")
            key, value = _unquoted(match["key"]), _unquoted(match["value"] or "")
            if not match["indent"]:
                if opened:
                    faults.append(_without_gateway(opened))
                network, opened = _network(key), None
                if network in found:
                    raise _Bad(1, f"{key} is listed twice, first on line {found[network].line}")
                if not value:
                    opened = (network, number, 1)
                    continue
                found[network] = HostGateway(network, value, number, match.start("value") + 1)
                continue
            if opened is None:
                raise _Bad(match.start("key") + 1, "is indented, but belongs to no subnet")
            subnet, opened = opened[0], None
            if key != "gateway":
                raise _Bad(match.start("key") + 1, f"{key} is not a known key; the only one is `gateway`")
            if not value:
                raise _Bad(match.end("key") + 1, "`gateway` has no value")
            found[subnet] = HostGateway(subnet, value, number, match.start("value") + 1)
        except _Bad as bad:
            faults.append(Fault(number, str(bad)))
    if opened:
        faults.append(_without_gateway(opened))
    return tuple(found.values()), faults


def _without_gateway(opened: tuple[IPv4Network, int, int]) -> Fault:
    network, line, column = opened
    return Fault(line, f"column {column}: {network} has no gateway")


def _column(line: str) -> int:
    return len(line) - len(line.lstrip(" ")) + 1


def _unquoted(word: str) -> str:
    return word[1:-1] if word[:1] in ("'", '"') else word


def _network(key: str) -> IPv4Network:
    try:
        return IPv4Network(key)
    except ValueError as bad:
        raise _Bad(1, f"{key} is not an IPv4 address or subnet: {bad}") from None


def longest_first(gateways: tuple[HostGateway, ...]) -> Iterator[HostGateway]:
    """Yield the entries, most specific subnet first."""
    yield from sorted(gateways, key=lambda entry: -entry.network.prefixlen)
