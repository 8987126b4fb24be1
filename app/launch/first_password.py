"""The pipe by which `reachq up` learns the first admin's password from the web server that has added this user.

The web server inherits the end for writing (REACHQ_FIRST_PASSWORD_FD). A pipe leaves no copy in a file, in a log or in the
environment of a process.
"""

from __future__ import annotations

import contextlib
import os

LONGEST = 1024
"""Bytes; more than any password has."""


class FirstPassword:
    """One pipe; it lives as long as the process."""

    def __init__(self) -> None:
        self._reading, self.descriptor = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._password = ""

    @property
    def environment(self) -> dict[str, str]:
        """What the web server needs in its environment to find the pipe."""
        return {"REACHQ_FIRST_PASSWORD_FD": str(self.descriptor)}

    def read(self) -> str:
        """The password, or an empty string when no admin was added. Does not block."""
        with contextlib.suppress(BlockingIOError):
            self._password = os.read(self._reading, LONGEST).decode() or self._password
        return self._password
