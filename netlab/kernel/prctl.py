"""prctl(2): attributes that a process or thread sets for itself and its children. Source: linux/prctl.h.

Every function raises OSError if the kernel refuses the call.
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
"""The kernel's limit for the length of a thread's name, without the closing NUL."""

_libc = ctypes.CDLL(None, use_errno=True)


def set_parent_death_signal(number: int) -> None:
    """Set the signal that this process gets when its parent ends. Children do not inherit the setting.

    The parent may have ended before this call, so check afterwards that it still exists.
    """
    _call(PDEATHSIG_SET, number, "PR_SET_PDEATHSIG")


def parent_death_signal() -> int:
    """Return the signal that this process gets when its parent ends; 0 if none."""
    number = ctypes.c_int()
    _call(PDEATHSIG_GET, ctypes.byref(number), "PR_GET_PDEATHSIG")
    return number.value


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own parent."""
    _call(CHILD_SUBREAPER_SET, 1, "PR_SET_CHILD_SUBREAPER")


def set_thread_name(name: str) -> None:
    """Set the calling thread's name, which ps and top show. It is cut to NAME_BYTES."""
    _call(NAME_SET, name.encode()[:NAME_BYTES], "PR_SET_NAME")


def bounding_capabilities() -> set[int]:
    """Return the numbers of the capabilities that programs started by this thread can get (capabilities(7))."""
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
    """Ensure that programs started by this thread can never get the capability."""
    _call(CAPBSET_DROP, number, f"PR_CAPBSET_DROP {number}")


def forbid_new_privileges() -> None:
    """Ensure that this thread and its children gain no rights from set-user-ID files or file capabilities."""
    _call(NO_NEW_PRIVS_SET, 1, "PR_SET_NO_NEW_PRIVS")


def _call(option: int, argument: object, name: str) -> int:
    result = int(_libc.prctl(option, argument, 0, 0, 0))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {name}: {os.strerror(number)}")
    return result
