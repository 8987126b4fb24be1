"""Runs a test's body in a child process with its own network namespace, where it may build benches and inspect them."""

from __future__ import annotations

import ctypes
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from netlab.errors import MachineError
from netlab.facts import reader
from netlab.kernel import namespaces
from netlab.live.build import LiveNetwork, build

PR_SET_DUMPABLE = 4
_FINE, _FAILED, _CANNOT = 0, 1, 2


def with_network(folder: Path, body: Callable[[LiveNetwork], None]) -> None:
    """Build the network of `folder` in a child and call `body` there; what it raises fails the test."""

    def inside() -> str:
        namespaces.isolate()
        body(build(reader.load(folder)))
        return ""

    in_a_child(inside)


def in_a_child(body: Callable[[], str], uid: int | None = None) -> str:
    """What `body` returns when a child process calls it, as another user if one is given."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = _FINE
        try:
            if uid is not None and uid != os.geteuid():
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
                ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # otherwise its files in /proc belong to root
            os.write(write, body().encode())
        except MachineError as bad:
            code = _CANNOT
            os.write(write, str(bad).encode())
        except BaseException:  # noqa: BLE001 - whatever it is, the parent raises it
            code = _FAILED
            os.write(write, traceback.format_exc()[-60_000:].encode())
        os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        output = pipe.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == _CANNOT and not os.environ.get("CI"):
        pytest.skip(output)
    assert code == _FINE, output
    return output
