"""The process at the other end of a unix socket, as reported by the kernel (unix(7), SO_PEERCRED)."""

from __future__ import annotations

import os
import socket
import struct
from functools import cache
from pathlib import Path
from typing import NamedTuple

ALL_IDS = 2**32 - 1
"""Number of user IDs in a user namespace that maps all of them (user_namespaces(7))."""


class Peer(NamedTuple):
    """A process and its user, numbered as in this process's own namespaces.

    `pid` is 0 for a process that has no number here.

    A client gets the process that made the socket listen. A server gets the process that connected.
    """

    pid: int
    uid: int

    @property
    def trusted(self) -> bool:
        """Whether the peer runs as this process's own user or as root."""
        return self.uid in (0, os.geteuid()) and not self._hidden

    @property
    def _hidden(self) -> bool:
        """Whether the user ID is the substitute for every user that this process's user namespace does not map."""
        return self.uid == _overflow_uid() and _mapped_ids() < ALL_IDS

    def __str__(self) -> str:
        return f"process {self.pid} of user {self.uid}" if self.pid else f"a process of user {self.uid}"


def peer_of(connected: socket.socket) -> Peer:
    """Return the process at the other end of a connected unix socket."""
    pid, uid, _ = struct.unpack("iII", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid)


@cache
def _overflow_uid() -> int:
    return int(Path("/proc/sys/kernel/overflowuid").read_text())


def _mapped_ids() -> int:
    """Return the number of user IDs that this process's user namespace maps."""
    return sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
