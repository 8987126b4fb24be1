"""What every source of a network's files has in common: the operations, the limits, and what counts as text. Pure."""

from __future__ import annotations

import re
from typing import Protocol

MAX_FILE_BYTES = 128 * 1024 * 1024
MAX_NETWORK_BYTES = 256 * 1024 * 1024
MAX_ROUTERS = 1000
MAX_ENTRIES = 10_000
"""Maximum number of directory entries that are read in the network's folder."""
_MARKS = {
    b"\xef\xbb\xbf": "begins with a byte order mark: save it as UTF-8 without one",
    b"\xff\xfe": "is UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text: save it as UTF-8",
}
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""All characters that end a line or move the cursor, except tab and line feed."""


class NetworkFiles(Protocol):
    """The files of one network: a folder, an archive, or what a snapshot stores."""

    def routers(self) -> list[str]:
        """Return the names of the routers' folders, sorted. Raises Unreadable."""

    def files(self, router: str) -> list[str]:
        """Return the names of all files in a router's folder, in any order; [] if it cannot be listed."""

    def read(self, router: str, file: str) -> bytes | None:
        """Return the content of a router's file, or None if it does not exist. Raises Unreadable.

        The router "." is the network's folder itself.
        """


class Unreadable(Exception):
    """A file or folder cannot be read. `line` is 0 if the reason applies to the whole file."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(why)
        self.line = line


def text(data: bytes) -> str:
    """Decode `data` as UTF-8 text and convert CRLF line ends to LF.

    Raises Unreadable, with the line number, for anything but plain text.
    """
    for mark, why in _MARKS.items():
        if data.startswith(mark):
            raise Unreadable(why, 1)
    try:
        content = data.decode().replace("\r\n", "\n")  # the file may have been copied from a Windows machine
    except UnicodeDecodeError as bad:
        raise Unreadable("is not UTF-8 text", data[: bad.start].count(b"\n") + 1) from None
    if control := _CONTROL.search(content):
        line = content.count("\n", 0, control.start()) + 1
        raise Unreadable(f"contains {_name(control[0])}, which is not text", line)
    return content


def _name(character: str) -> str:
    return "a NUL" if character == "\0" else f"the control character U+{ord(character):04X}"
