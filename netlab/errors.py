"""Errors of the network side, with one base class.

Each message names the place of the error and has the text of the kernel or the reader.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from netlab.terminal import in_a_line


class NetlabError(Exception):
    """Base class of all deliberate errors of the network side. The default message is the docstring of the subclass."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


@dataclass(frozen=True)
class Problem:
    """One fault in a network's facts.

    `file` is relative to the network's folder; `line` is from 1, or 0 for the whole file.
    """

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return in_a_line(f"{where}: {self.message}")


class FactsError(NetlabError):
    """The facts cannot be used. `problems` lists every fault that was found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class BuildError(FactsError):
    """The kernel, or a tool that loads facts into it, refused something. The bench was not built."""


class MachineError(NetlabError):
    """This machine cannot run a bench. The message says what is missing and how to get it."""


class NetlinkError(NetlabError):
    """The kernel answered a netlink request with an error. `errno` is its number."""

    def __init__(self, what: str, errno: int) -> None:
        super().__init__(f"{what}: {os.strerror(errno)}")
        self.errno = errno
