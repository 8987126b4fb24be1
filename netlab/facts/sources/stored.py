"""The files of a network in memory, as an archive or a snapshot holds them. Writes them into a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from netlab.facts.sources.files import MAX_ROUTERS, Unreadable


class StoredFiles:
    """Files by path: `router/file`, or `file` for one in the network's folder itself."""

    def __init__(
        self, contents: Mapping[str, bytes], others: Collection[str] = (), refused: Mapping[str, str] | None = None
    ) -> None:
        """`others` are paths of files whose content is not stored, because it is never read.

        `refused` are paths that cannot be read, with the reason.
        """
        self.contents = contents
        self.others = others
        self._refused = refused or {}
        self._by_router: dict[str, list[str]] = {}
        for path in (*contents, *others, *self._refused):
            router, slash, file = path.partition("/")
            if slash:
                self._by_router.setdefault(router, []).append(file)

    def routers(self) -> list[str]:
        """Return the names of the routers' folders, sorted. Raises Unreadable if there are too many."""
        names = sorted(router for router in self._by_router if not router.startswith("."))
        if len(names) > MAX_ROUTERS:
            raise Unreadable(f"holds {len(names)} routers; a bench has at most {MAX_ROUTERS}")
        return names

    def files(self, router: str) -> list[str]:
        """Return the names of all files in a router's folder."""
        return self._by_router.get(router, [])

    def read(self, router: str, file: str) -> bytes | None:
        """Return the content of a router's file, or None if it does not exist. Raises Unreadable."""
        path = file if router == "." else f"{router}/{file}"
        if path in self._refused:
            raise Unreadable(self._refused[path])
        return self.contents.get(path)


def write(folder: Path, contents: Mapping[str, bytes], others: Collection[str]) -> None:
    """Write the files below `folder`, unless it exists. Raises OSError, or Unreadable for a path that leaves the folder.

    The folder appears complete or not at all. The files in `others` are written empty: only their names matter, because
    the reader warns of firewall rules under names that it does not read.
    """
    for path in (*contents, *others):
        if not set(path.split("/")).isdisjoint({"", ".", ".."}):
            raise Unreadable(f"has the path {path[:100]!a}: a path is ROUTER/FILE")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    for path, data in (*contents.items(), *((path, b"") for path in others)):
        target = draft / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_bytes(data)
    try:
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft)
        if not folder.is_dir():
            raise
