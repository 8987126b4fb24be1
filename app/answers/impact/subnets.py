"""Reads an address or a subnet that a user writes, and finds the cells whose addresses it contains. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import Final

EXAMPLE: Final = "give an address such as 10.1.10.20 or a subnet such as 10.1.10.0/24"


def read_subnet(text: str) -> str:
    """Return an address or a subnet in its standard form. Raises ValueError, whose text is the remedy."""
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError):
        raise ValueError(f"is not an IPv4 address or subnet: {EXAMPLE}") from None
    except ValueError:
        right = IPv4Network(text, strict=False)
        raise ValueError(f"has bits set after the prefix: write {right}") from None
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def contains(subnet: str, address: str) -> bool:
    """Return whether the subnet, in the form of `read_subnet`, contains the address."""
    return subnet == address or _network(address).subnet_of(_network(subnet))


@lru_cache(maxsize=65536)
def _network(text: str) -> IPv4Network:
    return IPv4Network(text)
