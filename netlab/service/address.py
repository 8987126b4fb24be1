"""The address of a bench: a path, or `@name` in Linux's abstract socket space, which leaves no file behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

DATA = Path("~/.local/state/reachq")
"""The default data folder, as for the other processes; `~` is the user's home."""
PATH_MAX = 107
"""Maximum length of a unix socket's path in bytes, sun_path without its closing NUL (unix(7))."""


def default_address(data: Path, bench: str) -> str:
    """The address of the bench named `bench` of the system with the data folder `data`: a path in that folder."""
    return str(data.absolute() / f"bench-{bench}.sock")


def is_abstract(address: str) -> bool:
    """Whether the address is a name in the abstract socket space."""
    return address.startswith("@")


@contextlib.contextmanager
def socket_address(address: str) -> Iterator[str]:
    """The address in a form that socket.connect accepts within the body.

    A path that is too long for the kernel is accessed through a descriptor of its folder. Raises OSError when that
    folder cannot be opened.
    """
    if is_abstract(address):
        yield "\0" + address[1:]
    elif len(os.fsencode(address)) <= PATH_MAX:
        yield address
    else:
        path = Path(address)
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield in_folder(folder, path.name)
        finally:
            os.close(folder)


def in_folder(folder: int, name: str) -> str:
    """The path of a file in the folder of this open descriptor; short, however long the folder's path is."""
    return f"/proc/self/fd/{folder}/{name}"
