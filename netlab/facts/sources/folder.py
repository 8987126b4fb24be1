"""Reads the files of a network's folder, and nothing outside it. openat2(2).

Each path is first opened with O_PATH, which neither follows links out of the folder nor touches the file. If the
descriptor shows a regular file, the file is then opened for reading through this descriptor. It is read up to a limit,
even if it is longer or grows. A FIFO, a device or a link to one is never opened.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from netlab.facts.sources.files import MAX_ENTRIES, MAX_FILE_BYTES, MAX_NETWORK_BYTES, MAX_ROUTERS, Unreadable

_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_BENEATH = 0x02, 0x08
_KINDS = [
    (stat.S_ISDIR, "Is a directory"),
    (stat.S_ISFIFO, "is a FIFO"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
]

_libc = ctypes.CDLL(None, use_errno=True)


class NetworkFolder:
    """An open network folder. `left` is the number of bytes that may still be read from it."""

    def __init__(self, folder: Path) -> None:
        """Open the folder. Raises Unreadable."""
        try:
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as bad:
            raise Unreadable(f"cannot be read: {bad.strerror}") from None
        self.left = MAX_NETWORK_BYTES

    def close(self) -> None:
        """Close the folder."""
        os.close(self._folder)

    def routers(self) -> list[str]:
        """Return the names of the router folders, without hidden ones. Raises Unreadable.

        A link counts as a folder if it leads to one inside the network's folder. A link that leads out of it is listed
        too, so that reading its files is refused with its name.
        """
        with os.scandir(self._folder) as entries:
            names = [entry.name for _, entry in zip(range(MAX_ENTRIES + 1), entries, strict=False)]
        if len(names) > MAX_ENTRIES:
            raise Unreadable(f"holds more than {MAX_ENTRIES} files and folders")
        content = sorted(name for name in names if not name.startswith(".") and self._is_folder(name))
        if len(content) > MAX_ROUTERS:
            raise Unreadable(f"holds {len(content)} routers; a bench has at most {MAX_ROUTERS}")
        return content

    def files(self, router: str) -> list[str]:
        """Return the names of the files in a router's folder, or [] if it cannot be listed or is a link that leads out."""
        try:
            with self._opened(router) as named, os.scandir(f"/proc/self/fd/{named}") as entries:
                names = [entry.name for _, entry in zip(range(MAX_ENTRIES), entries, strict=False)]
        except OSError:
            return []
        return [name for name in names if name.isprintable() and not name.startswith(".")]

    def read(self, router: str, file: str) -> bytes | None:
        """Return the content of a router's file, or None if the file does not exist. Raises Unreadable."""
        try:
            with self._opened(f"{router}/{file}") as named:
                status = os.fstat(named)
                for is_kind, what in _KINDS:
                    if is_kind(status.st_mode):
                        raise Unreadable(f"cannot be read: {what}")
                data = _read(named, MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            if os.access(os.path.join(router, file), os.F_OK, dir_fd=self._folder, follow_symlinks=False):
                raise Unreadable("is a link to a file that does not exist") from None
            return None
        except OSError as bad:
            raise Unreadable(_why(bad)) from None
        if len(data) > MAX_FILE_BYTES:
            raise Unreadable(f"is larger than {MAX_FILE_BYTES >> 20} MiB")
        self.left -= len(data)
        if self.left < 0:
            raise Unreadable(f"this file and those read before it exceed {MAX_NETWORK_BYTES >> 20} MiB in total")
        return data

    def _is_folder(self, name: str) -> bool:
        try:
            with self._opened(name) as named:
                return stat.S_ISDIR(os.fstat(named).st_mode)
        except OSError as bad:
            # Keep a link that leads out of the folder, so that its files are refused by name.
            return bad.errno in (errno.EXDEV, errno.EACCES, errno.ELOOP)

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_NO_MAGICLINKS | _RESOLVE_BENEATH)
        named = _libc.syscall(_OPENAT2, self._folder, os.fsencode(path), how, len(how))
        if named < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        try:
            yield named
        finally:
            os.close(named)


def _why(bad: OSError) -> str:
    if bad.errno == errno.EXDEV:
        return "is a link that leads out of the network's folder: use relative links within it, or copies"
    if bad.errno == errno.ENOSYS:
        return "cannot be read: this kernel has no openat2(2); 5.6 or later is needed"
    return f"cannot be read: {bad.strerror}"


def _read(named: int, limit: int) -> bytes:
    """Read up to `limit` bytes of the file that `named`, an O_PATH descriptor, refers to."""
    parts, left = [], limit
    reading = os.open(f"/proc/self/fd/{named}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        while left and (part := os.read(reading, min(left, 1 << 20))):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(reading)
    return b"".join(parts)
