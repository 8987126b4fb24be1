"""The pipe through which the web server passes the first admin's password to `reachq up`.

The web server inherits the write end (REACHQ_FIRST_PASSWORD_FD). A pipe is used because it leaves no copy of the
password in a file, in a log or in the environment of a process.
"""

from __future__ import annotations

import contextlib
import os

LONGEST = 1024
"""Maximum number of bytes that are read. Every password is shorter."""


class FirstPassword:
    """One pipe. It exists as long as the process."""

    def __init__(self) -> None:
        self._reading, self.descriptor = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._password = ""

    @property
    def environment(self) -> dict[str, str]:
        """The environment variable that tells the web server the descriptor of the pipe."""
        return {"REACHQ_FIRST_PASSWORD_FD": str(self.descriptor)}

    def read(self) -> str:
        """Return the password, or an empty string if no admin was added. Does not block."""
        with contextlib.suppress(BlockingIOError):
            self._password = os.read(self._reading, LONGEST).decode() or self._password
        return self._password
