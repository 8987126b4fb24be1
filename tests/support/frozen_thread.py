"""Stops one thread of a process and leaves the others running, like a call that never returns (ptrace(2))."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000
PAUSE_S = 0.02

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


@contextmanager
def frozen(thread: int) -> Iterator[None]:
    """Stop the thread with this id inside the block; the main thread of a process has its pid as id.

    The thread is stopped in a system call in which it waits. Elsewhere it could hold the interpreter's lock, and then
    the other threads of a Python process would stop too.
    """
    while not _stopped_in_a_call(thread):
        _let_go(thread)
        time.sleep(PAUSE_S)
    try:
        yield
    finally:
        _let_go(thread)


def _stopped_in_a_call(thread: int) -> bool:
    """Stop the thread; return whether it still is in the system call in which it waited before."""
    before = _call_of(thread)
    _ptrace(SEIZE, thread)
    _ptrace(INTERRUPT, thread)
    os.waitpid(thread, WALL)
    return before != "running" and _call_of(thread) == before


def _call_of(thread: int) -> str:
    """The system call in which the thread waits, with its arguments; `running` if it does not wait (proc(5))."""
    return Path(f"/proc/{thread}/syscall").read_text().strip()


def _let_go(thread: int) -> None:
    if _libc.ptrace(DETACH, thread, None, None) == -1:  # it was killed in the meantime: its parent is notified after us
        os.waitpid(thread, WALL)


def _ptrace(request: int, thread: int) -> None:
    if _libc.ptrace(request, thread, None, None) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
