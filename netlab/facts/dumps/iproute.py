"""Checks values in `ip -j` output by type, before they become words of an `ip -batch` line. Pure.

Sources: ip-route(8), ip-rule(8). `ip -batch` cuts a line at `#`, joins lines at a backslash and splits words at blanks.
No word that passes here contains any of these. The kernel decides whether a value makes sense.
"""

from __future__ import annotations

import re

from netlab.facts.dumps.words import OCTETS, interface

_NETWORK = re.compile(rf"{OCTETS}(?:/[0-9]{{1,2}})?\Z|default\Z|all\Z", re.ASCII)
_ADDRESS = re.compile(rf"{OCTETS}\Z", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}\Z|0x[0-9a-fA-F]{1,8}\Z", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,31}\Z", re.ASCII)
TYPES = frozenset("unicast local broadcast multicast throw unreachable prohibit blackhole nat anycast nop".split())


class NotPrinted(Exception):
    """A field has a value that `ip -j` never prints there."""


def network(field: str, value: object) -> str:
    """Return the value if it is `10.0.0.0/8`, `10.0.0.1`, `default` or `all` in form. Raises NotPrinted otherwise."""
    return _checked(_NETWORK, field, value, "an IPv4 network or address")


def address(field: str, value: object) -> str:
    """Return the value if it has the form of an IPv4 address. Raises NotPrinted otherwise."""
    return _checked(_ADDRESS, field, value, "an IPv4 address")


def number(field: str, value: object) -> str:
    """Return the value if it is a non-negative integer, decimal or hexadecimal. Raises NotPrinted otherwise."""
    return _checked(_NUMBER, field, value, "a number")


def name(field: str, value: object) -> str:
    """Return the value if it is a number or has the form of a name from /etc/iproute2 (a scope, a TOS, a protocol).

    Raises NotPrinted otherwise.
    """
    return _checked(_NAME, field, value, "a number or name")


def device(field: str, value: object) -> str:
    """Return the value if it is an interface name. Raises NotPrinted otherwise."""
    if not isinstance(value, str) or not interface(value):
        raise NotPrinted(f"{field} {_shown(value)} is not an interface name")
    return value


def kind(field: str, value: object) -> str:
    """Return the value if it is a type of route or an action of a policy rule. Raises NotPrinted otherwise."""
    if value not in TYPES:
        raise NotPrinted(f"{field} {_shown(value)} is not one of {', '.join(sorted(TYPES))}")
    return str(value)


def table_number(text: str) -> int | None:
    """Return the number of a routing table that is given by its number, or None if it is given by its name."""
    return int(text) if re.fullmatch("[0-9]{1,10}", text) else None


def _checked(pattern: re.Pattern[str], field: str, value: object, what: str) -> str:
    text = str(value)
    if not pattern.match(text):
        raise NotPrinted(f"{field} {_shown(value)} is not {what}")
    return text


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
