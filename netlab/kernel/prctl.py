"""prctl(2): attributes that a process or thread sets for itself and its children. Every call raises OSError on refusal.

Numbers: linux/prctl.h.
"""

from __future__ import annotations

import ctypes
import errno
import os

PDEATHSIG_SET, PDEATHSIG_GET = 1, 2
NAME_SET = 15
CAPBSET_READ, CAPBSET_DROP = 23, 24
CHILD_SUBREAPER_SET = 36
NO_NEW_PRIVS_SET = 38
NAME_BYTES = 15
"""The kernel's limit for a thread's name, less the closing NUL."""

_libc = ctypes.CDLL(None, use_errno=True)


def set_parent_death_signal(number: int) -> None:
    """Set the signal to receive when the parent ends. Children do not inherit it; the parent may already have ended, so
    check it afterwards.
    """
    _call(PDEATHSIG_SET, number, "PR_SET_PDEATHSIG")


def parent_death_signal() -> int:
    """The signal that this process gets when its parent ends; 0: none."""
    number = ctypes.c_int()
    _call(PDEATHSIG_GET, ctypes.byref(number), "PR_GET_PDEATHSIG")
    return number.value


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends."""
    _call(CHILD_SUBREAPER_SET, 1, "PR_SET_CHILD_SUBREAPER")


def set_thread_name(name: str) -> None:
    """Name the calling thread, as ps and top show it; cut to NAME_BYTES."""
    _call(NAME_SET, name.encode()[:NAME_BYTES], "PR_SET_NAME")


def bounding_capabilities() -> set[int]:
    """The capabilities that programs started by this thread can get (capabilities(7))."""
    numbers: set[int] = set()
    number = 0
    while True:
        try:
            if _call(CAPBSET_READ, number, "PR_CAPBSET_READ"):
                numbers.add(number)
        except OSError as beyond:
            if beyond.errno == errno.EINVAL:  # the kernel has no capability with this number
                return numbers
            raise
        number += 1


def drop_bounding_capability(number: int) -> None:
    """Keep programs started by this thread from ever getting the capability."""
    _call(CAPBSET_DROP, number, f"PR_CAPBSET_DROP {number}")


def forbid_new_privileges() -> None:
    """Keep this thread and what it starts from gaining rights by set-user-id files or file capabilities."""
    _call(NO_NEW_PRIVS_SET, 1, "PR_SET_NO_NEW_PRIVS")


def _call(option: int, argument: object, name: str) -> int:
    result = int(_libc.prctl(option, argument, 0, 0, 0))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {name}: {os.strerror(number)}")
    return result
