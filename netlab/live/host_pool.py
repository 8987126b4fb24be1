"""A pool of network namespaces, each with one veth pair, for hosts.

Some are kept ready, because creating one takes 1.5 ms, and removing one keeps the kernel busy for a long time.

In a ready namespace both ends of the veth pair are up and have a carrier. It has no addresses, routes or neighbours and
is not on a segment. When a namespace is returned, everything that the kernel lists in it is removed, so nothing depends
on a record of what was added.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass

from netlab.kernel import links, namespaces
from netlab.kernel.links import LOOPBACK, WIRE, LinkWriter

READY = 2
"""Number of namespaces to keep ready. Most runs have one source and one destination."""
SYSCTLS = {
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/icmp_ratelimit": "0",
    "net/ipv4/icmp_ratemask": "0",  # otherwise one run could use up the budget of the next
    "net/ipv4/tcp_no_metrics_save": "1",  # one connection does not affect the next
    "net/ipv4/tcp_syncookies": "2",  # a listener keeps no state of a connection without its last ACK
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
}


@dataclass(eq=False)
class PooledNamespace:
    """One namespace with its descriptor (`namespace`) and a netlink socket inside it (`links`).

    Its veth pair has the index WIRE inside, and the index `outside` in the bench's own namespace.
    """

    namespace: int
    links: LinkWriter
    outside: int
    kept: bool

    def close(self) -> None:
        """Release the namespace. The kernel removes it and its veth pair in the background."""
        self.links.close()
        os.close(self.namespace)


class HostPool:
    """The pool of one live network. Create it in the bench's own namespace."""

    def __init__(self) -> None:
        self._links = LinkWriter()
        self._ready: list[PooledNamespace] = []
        self._made = 0

    def ready(self) -> tuple[PooledNamespace, ...]:
        """Return the namespaces that are not in use."""
        return tuple(self._ready)

    def prepare(self) -> None:
        """Create the namespaces to keep ready. Raises NetlinkError or OSError."""
        while len(self._ready) < READY:
            self._ready.append(self._make(kept=True))

    def take(self) -> PooledNamespace:
        """Return a ready namespace, or a new one if none is ready. Raises NetlinkError or OSError."""
        return self._ready.pop() if self._ready else self._make(kept=False)

    def plug(self, space: PooledNamespace, bridge: str) -> None:
        """Connect the namespace to a segment.

        Its veth pair already has a carrier, so it works at once. Raises NetlinkError.
        """
        self._links.change([links.join(space.outside, socket.if_nametoindex(bridge))], f"port of {bridge}")

    def give_back(self, space: PooledNamespace) -> None:
        """Remove the namespace from its segment, so that it does not disturb other runs. Keep it ready, or close it.

        The caller must have closed all sockets in it. With the last address of a link, the kernel removes the link's
        routes, what it learned about them, and the link's neighbours. Raises NetlinkError.
        """
        try:
            self._links.change([links.join(space.outside, 0)], "host off its segment")
            if space.kept:
                space.links.drop_addresses()
        except BaseException:
            space.close()
            raise
        if space.kept:
            self._ready.append(space)
        else:
            space.close()

    def close(self) -> None:
        """Release the ready namespaces."""
        for space in self._ready:
            space.close()
        self._links.close()

    def _make(self, *, kept: bool) -> PooledNamespace:
        self._made += 1
        with contextlib.ExitStack() as undo:
            name, namespace = f"h{self._made}", namespaces.create(SYSCTLS)
            undo.callback(os.close, namespace)
            self._links.wire(name, "eth0", namespace, index=WIRE)
            with namespaces.entered(namespace):
                inside = LinkWriter()
            undo.callback(inside.close)
            outside = socket.if_nametoindex(name)
            inside.change([links.up(LOOPBACK), links.up(WIRE)], f"links of {name}")
            self._links.change([links.up(outside)], name)
            self._links.await_carrier(outside)
            inside.await_carrier(WIRE)
            undo.pop_all()
            return PooledNamespace(namespace, inside, outside, kept)
