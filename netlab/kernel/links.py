"""Links, addresses and routes as netlink messages, which set up the hosts on the bench. rtnetlink(7), veth(4).

A few messages in one process replace three runs of `ip`, which would take ten milliseconds.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Sequence
from ipaddress import IPv4Address

from netlab.errors import NetlinkError
from netlab.kernel.netlink import ACK, CREATE, NETLINK_ROUTE, REQUEST, NetlinkSocket
from netlab.packets.netlink_attributes import attribute, attributes

LOOPBACK, WIRE = 1, 2
"""Interface indices of `lo` and of the veth end in a namespace that has only these two."""
CARRIER_S = 2.0
"""Maximum time for a link to get its carrier. The kernel's link watch can be up to one second late."""
_EXCLUSIVE = 0x200
_NEWLINK, _GETLINK, _SETLINK, _NEWADDR, _DELADDR, _GETADDR, _NEWROUTE = 16, 18, 19, 20, 21, 22, 24
_IFF_UP, _OPERSTATE_UP = 1, 6
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MASTER, _IFLA_OPERSTATE, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 10, 16, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER, _IFLA_BR_MCAST_SNOOPING = 1, 2, 1, 23
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_RTA_OIF, _RTA_GATEWAY = 4, 5
_NEWNEIGH, _NDA_DST, _NDA_LLADDR, _NUD_PERMANENT = 28, 1, 2, 0x80
_MAIN, _STATIC, _UNICAST, _ONLINK = 254, 4, 1, 4

Message = tuple[int, int, bytes]
"""One request: (type, flags, body)."""


def _link(index: int, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, flags, change)


def up(index: int) -> Message:
    """Return the request to bring a link up."""
    return _SETLINK, 0, _link(index, _IFF_UP, _IFF_UP)


def join(index: int, bridge: int) -> Message:
    """Return the request to make a link a port of the bridge with this index.

    Index 0 removes the link from its bridge.
    """
    return _SETLINK, 0, _link(index) + attribute(_IFLA_MASTER, struct.pack("=I", bridge))


def bridge(name: str) -> Message:
    """Return the request to create a bridge that is up and floods multicast like broadcast."""
    data = attribute(_IFLA_BR_MCAST_SNOOPING, b"\0")
    info = attribute(_IFLA_INFO_KIND, b"bridge") + attribute(_IFLA_INFO_DATA, data)
    body = _link(0, _IFF_UP, _IFF_UP) + attribute(_IFLA_IFNAME, name.encode() + b"\0")
    return _NEWLINK, CREATE | _EXCLUSIVE, body + attribute(_IFLA_LINKINFO, info)


def set_mac(index: int, mac: bytes) -> Message:
    """Return the request to set a link's MAC address. It also works while the link is up."""
    return _SETLINK, 0, _link(index) + attribute(_IFLA_ADDRESS, mac)


def add_address(index: int, own: IPv4Address, length: int, flags: int = 0) -> Message:
    """Return the request to add an address with a prefix of this length to a link. `flags` are IFA_F_*."""
    body = _address(index, own, length)
    return _NEWADDR, CREATE | _EXCLUSIVE, body + (attribute(_IFA_FLAGS, struct.pack("=I", flags)) if flags else b"")


def drop_address(index: int, own: IPv4Address, length: int) -> Message:
    """Return the request to remove an address from a link."""
    return _DELADDR, 0, _address(index, own, length)


def _address(index: int, own: IPv4Address, length: int) -> bytes:
    body = struct.pack("=BBBBi", socket.AF_INET, length, 0, 0, index)
    return body + attribute(_IFA_LOCAL, own.packed) + attribute(_IFA_ADDRESS, own.packed)


def default_route(gateway: IPv4Address, index: int) -> Message:
    """Return the request to add a default route through a gateway on this link.

    The route is `onlink`: the gateway need not be in a network of the link's addresses.
    """
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, _MAIN, _STATIC, 0, _UNICAST, _ONLINK)
    body += attribute(_RTA_GATEWAY, gateway.packed) + attribute(_RTA_OIF, struct.pack("=i", index))
    return _NEWROUTE, CREATE | _EXCLUSIVE, body


def neighbour(address: IPv4Address, index: int, mac: bytes) -> Message:
    """Return the request to add a permanent ARP entry. The kernel deletes the entry with the link's last address."""
    body = struct.pack("=BBHiHBB", socket.AF_INET, 0, 0, index, _NUD_PERMANENT, 0, 0)
    return _NEWNEIGH, CREATE, body + attribute(_NDA_DST, address.packed) + attribute(_NDA_LLADDR, mac)


_AT_ONCE = 256
"""Maximum number of requests in one batch. All of them must fit into the socket's buffer."""


class LinkWriter:
    """A route netlink socket in the namespace in which it was created."""

    def __init__(self) -> None:
        self._netlink = NetlinkSocket(NETLINK_ROUTE)

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def change(self, messages: Sequence[Message], what: str) -> None:
        """Send the requests in order, in batches. Raises NetlinkError for the first refused request.

        The remaining requests of the same batch are carried out all the same.
        """
        for start in range(0, len(messages), _AT_ONCE):
            batch = messages[start : start + _AT_ONCE]
            self._netlink.begin()
            # The kernel reports a refusal even if no acknowledgement was requested.
            acknowledged = [0] * (len(batch) - 1) + [ACK]
            self._netlink.send(
                *(
                    self._netlink.message(kind, REQUEST | ack | flags, body)
                    for (kind, flags, body), ack in zip(batch, acknowledged, strict=True)
                )
            )
            self._netlink.acknowledged(what)

    def drop_addresses(self) -> None:
        """Remove every address in the namespace except loopback addresses. Raises NetlinkError."""
        requests = []
        for body in self._netlink.dump(_GETADDR, struct.pack("=BBBBi", socket.AF_INET, 0, 0, 0, 0), "its addresses"):
            _, length, _, _, index = struct.unpack_from("=BBBBi", body)
            own = IPv4Address(dict(attributes(body[8:]))[_IFA_LOCAL])
            if not own.is_loopback:
                requests.append(drop_address(index, own, length))
        self.change(requests, "its addresses")

    def wire(self, outside: str, inside: str, namespace: int, *, index: int = 0, mac: bytes = b"") -> None:
        """Create a veth pair: `outside` in this namespace and `inside` in `namespace`. Raises NetlinkError.

        `index` and `mac`, if given, are set on the inside end.
        """
        peer = _link(index) + attribute(_IFLA_IFNAME, inside.encode() + b"\0")
        peer += attribute(_IFLA_NET_NS_FD, struct.pack("=i", namespace))
        peer += attribute(_IFLA_ADDRESS, mac) if mac else b""
        info = attribute(_IFLA_INFO_KIND, b"veth") + attribute(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, peer))
        body = _link(0) + attribute(_IFLA_IFNAME, outside.encode() + b"\0") + attribute(_IFLA_LINKINFO, info)
        self._netlink.change(_NEWLINK, CREATE | _EXCLUSIVE, body, f"wire {outside}")

    def await_carrier(self, index: int) -> None:
        """Wait until the link has a carrier; until then the kernel silently drops its packets. Raises NetlinkError.

        A kernel job brings up the end of the pair that was set up first, up to a second late. In newer kernels (6.8), a
        query about the link does this at once.
        """
        deadline = time.monotonic() + CARRIER_S
        while self._state(index) != _OPERSTATE_UP:
            if time.monotonic() > deadline:
                raise NetlinkError(f"carrier of link {index}", errno.ETIMEDOUT)
            time.sleep(0.0005)

    def _state(self, index: int) -> int:
        reply = self._netlink.ask(_GETLINK, _link(index), f"state of link {index}")
        return dict(attributes(reply[16:])).get(_IFLA_OPERSTATE, b"\0")[0]
