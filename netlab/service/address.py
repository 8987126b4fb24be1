"""The address of a bench: a path, or `@name` in Linux's abstract socket namespace, which needs no file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

DATA = Path("~/.local/state/reachq")
"""The default data folder, the same for all processes. `~` is the user's home folder."""
PATH_MAX = 107
"""Maximum length of a unix socket's path in bytes: the size of `sun_path` minus the closing NUL (unix(7))."""


def default_address(data: Path, bench: str) -> str:
    """Return the default address of the bench named `bench`: the path of a socket in the data folder `data`."""
    return str(data.absolute() / f"bench-{bench}.sock")


def is_abstract(address: str) -> bool:
    """Whether the address is a name in the abstract socket namespace."""
    return address.startswith("@")


@contextlib.contextmanager
def socket_address(address: str) -> Iterator[str]:
    """Yield the address in a form that socket.bind and socket.connect accept within the body.

    A path that is too long for the kernel is accessed through a descriptor of its folder. Raises OSError if that folder
    cannot be opened.
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
    """Return a path for a file in the folder of this open descriptor.

    It is short even if the folder's own path is long.
    """
    return f"/proc/self/fd/{folder}/{name}"
