"""Anonymous network namespaces: held only by file descriptors of this process, and removed when it ends.

`unshare(2)` and `setns(2)` change the *calling thread*. Every function here except `isolate` therefore returns the
thread to its own namespace.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netlab.errors import MachineError

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)

BENCH_SYSCTLS = {
    "net/ipv6/conf/all/disable_ipv6": "1",  # no neighbour discovery on the outside ends of the routers' interfaces
    "net/ipv6/conf/default/disable_ipv6": "1",
}
"""Sysctls of the bench's own namespace."""
ROUTER_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",  # set per interface from netconf.json; without it no packet is filtered
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv4/icmp_ratelimit": "0",  # otherwise ICMP errors of REJECT are suppressed
    "net/ipv4/icmp_ratemask": "0",  # the same for more than a thousand a second, or fifty at once
    "net/ipv4/tcp_syncookies": "2",  # a listener keeps no state of a connection without its last ACK
    "net/ipv6/conf/all/disable_ipv6": "1",  # no neighbour discovery on the bench
    "net/ipv6/conf/default/disable_ipv6": "1",
}


def call(name: str, *words: int | bytes | None, what: str = "") -> None:
    """Call a function of the C library that returns 0 on success.

    Raises OSError otherwise, with a message that names `what` (default: the function).
    """
    if getattr(_libc, name)(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what or name}: {os.strerror(number)}")


def isolate() -> None:
    """Move this process into its own network namespace, and without root also into its own user namespace.

    The process must have only one thread. Raises MachineError if the machine does not allow it.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        if uid != 0:
            call("unshare", CLONE_NEWUSER)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        call("unshare", CLONE_NEWNET)
    except OSError as bad:
        raise MachineError(
            f"cannot make a network namespace: {bad.strerror}. Run the bench as root (in a container: with "
            "CAP_NET_ADMIN and CAP_SYS_ADMIN), or allow unprivileged user namespaces: "
            "sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1"
        ) from None


def current() -> int:
    """Return a descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def create(sysctls: dict[str, str]) -> int:
    """Create a network namespace with these sysctls and return its descriptor.

    The calling thread remains in its own namespace.
    """
    home = current()
    try:
        call("unshare", CLONE_NEWNET)
        set_sysctls(sysctls)
        return current()
    finally:
        call("setns", home, CLONE_NEWNET)
        os.close(home)


def set_sysctls(sysctls: dict[str, str]) -> None:
    """Set these sysctls in the calling thread's network namespace. Sysctls that this kernel lacks are skipped."""
    for name, value in sysctls.items():
        with suppress(FileNotFoundError), open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
            file.write(value)


@contextmanager
def entered(namespace: int) -> Iterator[None]:
    """Run the body with the calling thread inside `namespace`. Sockets and children created there belong to it."""
    home = current()
    try:
        call("setns", namespace, CLONE_NEWNET)
        try:
            yield
        finally:
            call("setns", home, CLONE_NEWNET)
    finally:
        os.close(home)
