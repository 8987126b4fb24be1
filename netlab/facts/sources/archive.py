"""Reads a network from a tar archive, with or without gzip. Nothing is written to disk.

The archive comes from anywhere. It is read as a stream with a limit for everything that it unpacks to, so that a small
archive cannot fill the memory. Only regular files count. A link in an archive can lead anywhere, so it is refused.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable
from typing import IO, cast

from netlab.facts.reader import COLLECT_COMMANDS
from netlab.facts.sources.files import MAX_ENTRIES, MAX_FILE_BYTES, MAX_NETWORK_BYTES, Unreadable
from netlab.facts.sources.stored import StoredFiles

MAX_MEMBERS = 50_000
"""Maximum number of members of an archive, of any kind."""
_READ_FILES = frozenset(COLLECT_COMMANDS)
_BESIDE_ROUTERS = "hosts.yaml"
_MARK = "addr.json"
"""Every router has this file, so it shows which folder of the archive is the network's."""
_END = 1024
"""Number of NULs at the end of an archive (tar(5)). tarfile accepts an archive that was cut off between two files."""


class _Limited(io.RawIOBase):
    """Passes reads on, and raises Unreadable at the limit. tarfile allocates what a header asks for."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._left = limit
        self.last = b""
        """The last bytes that were read, at most _END."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > self._left:
            size = self._left + 1
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise Unreadable(f"unpacks to more than {MAX_NETWORK_BYTES >> 20} MiB")
        self.last = (self.last + data)[-_END:]
        return data


def read_archive(stream: IO[bytes]) -> StoredFiles:
    """Read the network in a tar archive. Raises Unreadable.

    The routers' folders may be at the top of the archive or in one folder.
    """
    start = stream.read(2)
    stream.seek(0)
    unpacked = cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if start == b"\x1f\x8b" else stream
    limited = _Limited(unpacked, MAX_NETWORK_BYTES + MAX_MEMBERS * 1024)
    try:
        with tarfile.open(fileobj=limited, mode="r|") as archive:
            contents, others, refused = _members(archive)
        while limited.read(1 << 16):
            pass  # what follows the archive; at the end, gzip compares its checksum
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError) as bad:
        raise Unreadable(f"is not a complete tar or tar.gz archive: {bad}") from None
    if limited.last.strip(b"\0"):
        raise Unreadable("is not a complete tar or tar.gz archive: its end is missing")
    return _below(_network_folder([*contents, *others, *refused]), contents, others, refused)


def _members(archive: tarfile.TarFile) -> tuple[dict[str, bytes], list[str], dict[str, str]]:
    """Return the content of each file that the reader reads, the paths of all others, and the refused paths."""
    contents: dict[str, bytes] = {}
    others: list[str] = []
    refused: dict[str, str] = {}
    total = 0
    for number, member in enumerate(archive):
        if number == MAX_MEMBERS:
            raise Unreadable(f"has more than {MAX_MEMBERS} files and folders")
        path = _path(member.name)
        name = path.rpartition("/")[2]
        if member.isdir() or not path:
            continue
        if path in contents or path in refused:
            raise Unreadable(f"has {path} twice")
        if name not in _READ_FILES and name != _BESIDE_ROUTERS:
            others.append(path)
        elif not member.isreg() or member.issparse():
            refused[path] = "is a link or a special file in the archive: create it with `tar --dereference`"
        elif member.size > MAX_FILE_BYTES:
            refused[path] = f"is larger than {MAX_FILE_BYTES >> 20} MiB"
        else:
            total += member.size
            if total > MAX_NETWORK_BYTES:
                raise Unreadable(f"{path} and the files before it exceed {MAX_NETWORK_BYTES >> 20} MiB in total")
            opened = archive.extractfile(member)
            assert opened, "a regular file has content"
            contents[path] = opened.read()
    return contents, others, refused


def _path(name: str) -> str:
    """Return a member's path without `./`. Raises Unreadable for a path that leaves the archive."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or not name.isprintable():
        raise Unreadable(f"has the path {name[:100]!a}: paths must be relative, without `..`")
    return "/".join(parts)


def _network_folder(paths: Iterable[str]) -> str:
    """Return the folder that has the routers' folders, "" for the top. Raises Unreadable if that is not clear."""
    found = {tuple(path.split("/")[:-2]) for path in paths if path.endswith(f"/{_MARK}")}
    if not found:
        raise Unreadable(f"has no ROUTER/{_MARK}; a network is a folder of router folders (docs/facts.md)")
    if len(found) > 1:
        one, other = ("/".join(folder) or "the top" for folder in sorted(found)[:2])
        raise Unreadable(f"has router folders in several places: {one} and {other}")
    return "/".join(found.pop())


def _below(folder: str, contents: dict[str, bytes], others: list[str], refused: dict[str, str]) -> StoredFiles:
    """Return the files of the network in `folder`. What is outside it, hidden, or deeper than a router is left out."""
    start = f"{folder}/" if folder else ""

    def belongs(path: str) -> bool:
        parts = path.removeprefix(start).split("/")
        return path.startswith(start) and not any(part.startswith(".") for part in parts) and _is_in_place(parts)

    rest = [path.removeprefix(start) for path in others if belongs(path)][:MAX_ENTRIES]
    return StoredFiles(
        {path.removeprefix(start): data for path, data in contents.items() if belongs(path)},
        rest,
        {path.removeprefix(start): why for path, why in refused.items() if belongs(path)},
    )


def _is_in_place(parts: list[str]) -> bool:
    """Whether a path below the network's folder is one that the reader looks at."""
    return len(parts) == 2 or parts == [_BESIDE_ROUTERS]
