"""The validated request for a run. It is the same for HTTP, the command line and saved checks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from ledger.errors import BadInput
from ledger.runs.run import SINGLE, Mode, Service
from ledger.runs.services import PORT_MAX, parse_services

DETAILED_SERVICES_MAX = 50
"""Maximum number of services of a detailed run, which opens a real connection for each.

A quick run takes up to ledger.runs.services.SERVICES_MAX.
"""

_REFUSED = tuple(
    (ipaddress.IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "means 'this network' (0.0.0.0/8) and is never on the wire"),
        ("127.0.0.0/8", "is a loopback address (127.0.0.0/8), which never leaves its host"),
        ("224.0.0.0/4", "is a multicast address (224.0.0.0/4)"),
        ("255.255.255.255/32", "is the broadcast address"),
    )
)
_FOUR_NUMBERS = re.compile(r"([0-9]{1,10})\.([0-9]{1,10})\.([0-9]{1,10})\.([0-9]{1,10})")


class RunRequest(BaseModel):
    """One test: can `source` reach `destination` on these services? Created by `parse` or `examine`."""

    model_config = ConfigDict(frozen=True)

    source: str
    destination: str
    services: tuple[Service, ...]
    mode: Mode = Mode.QUICK
    source_port: int | None = None

    @classmethod
    def parse(
        cls,
        source: object,
        destination: object,
        services: object,
        mode: object = Mode.QUICK,
        source_port: object = None,
    ) -> RunRequest:
        """Return the request in canonical form. Raises BadInput for the first invalid field."""
        request, wrong = examine(source, destination, services, mode, source_port)
        if request is None:
            raise wrong[0]
        return request


def examine(
    source: object,
    destination: object,
    services: object,
    mode: object = Mode.QUICK,
    source_port: object = None,
    *,
    default_protocol: str = "tcp",
) -> tuple[RunRequest | None, list[BadInput]]:
    """Return the request and no errors, or None and a BadInput for each invalid field, in field order.

    `default_protocol`, tcp or udp, is used for a service without a protocol.
    """
    readers: dict[str, Callable[[], Any]] = {
        "source": lambda: parse_address("source", source),
        "destination": lambda: parse_address("destination", destination),
        "services": lambda: parse_services(services, default_protocol),
        "mode": lambda: parse_mode(mode),
        "source_port": lambda: parse_source_port(source_port),
    }
    fields: dict[str, Any] = {}
    wrong: list[BadInput] = []
    for field, read in readers.items():
        try:
            fields[field] = read()
        except BadInput as bad:
            wrong.append(bad)
    if "source" in fields and fields["source"] == fields.get("destination"):
        wrong.append(BadInput("destination", destination, "is also the source: give another address"))
    asked = len(fields.get("services", ()))
    if fields.get("mode") is Mode.DETAILED and asked > DETAILED_SERVICES_MAX:
        limit = f"a detailed run takes at most {DETAILED_SERVICES_MAX}"
        remedy = f"has {asked} services; {limit}: give fewer, or use a quick run"
        wrong.append(BadInput("services", services, remedy))
    return (None, wrong) if wrong else (RunRequest(**fields), [])


def parse_address(field: str, given: object) -> str:
    """Return an IPv4 unicast address in canonical dotted form.

    Raises BadInput(field, given, remedy) for anything else.
    """
    if not isinstance(given, str):
        raise BadInput(field, given, 'must be a string holding an IPv4 address, such as "10.1.10.20"')
    text = given.strip(" \t\r\n")
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise BadInput(field, given, _not_an_address(text)) from None
    for network, why in _REFUSED:
        if address in network:
            raise BadInput(field, given, f"{why}: give the IPv4 address of a host")
    return str(address)


def _not_an_address(text: str) -> str:
    """Return why `text` is not a valid IPv4 address, and what would be valid."""
    if not text:
        return "is empty: give an IPv4 address, such as 10.1.10.20"
    if ":" in text and _is_ipv6(text):
        return "is an IPv6 address, which is not supported yet: give an IPv4 address"
    if "/" in text:
        return "is a network or carries a mask: give one IPv4 address without /"
    if four := _FOUR_NUMBERS.fullmatch(text):
        octets = [int(octet) for octet in four.groups()]
        if max(octets) > 255:
            return "is not a valid IPv4 address: each of the four numbers is at most 255"
        return f"has leading zeros: write {'.'.join(map(str, octets))}"
    if re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9_][A-Za-z0-9_.-]*", text):
        return "is a name: names are not looked up, give its IPv4 address"
    return "is not a valid IPv4 address: give four numbers, such as 10.1.10.20"


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Interface(text.strip("[]"))
    except ValueError:
        return False
    return True


def parse_mode(given: object) -> Mode:
    """Return the mode `quick` or `detailed`. Raises BadInput for anything else."""
    if isinstance(given, str) and given in SINGLE:
        return Mode(given)
    raise BadInput("mode", given, "is not a valid mode: use quick or detailed")


def parse_source_port(given: object) -> int | None:
    """Return a port of 1-65535, or None, which lets the bench choose. Raises BadInput for anything else, even "80"."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= PORT_MAX:
        raise BadInput("source_port", given, f"must be a whole number, 1-{PORT_MAX}, or be left out")
    return given
