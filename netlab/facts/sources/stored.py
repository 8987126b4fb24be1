"""The files of a network in memory, as an archive or a snapshot holds them. Writes them into a folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
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

    def routers(self) -> list[str]:
        """Return the names of the routers' folders, sorted. Raises Unreadable if there are too many."""
        names = sorted({router for router, slash, _ in self._parts() if slash and not router.startswith(".")})
        if len(names) > MAX_ROUTERS:
            raise Unreadable(f"holds {len(names)} routers; a bench has at most {MAX_ROUTERS}")
        return names

    def files(self, router: str) -> list[str]:
        """Return the names of all files in a router's folder."""
        return [file for folder, slash, file in self._parts() if slash and folder == router]

    def read(self, router: str, file: str) -> bytes | None:
        """Return the content of a router's file, or None if it does not exist. Raises Unreadable."""
        path = file if router == "." else f"{router}/{file}"
        if path in self._refused:
            raise Unreadable(self._refused[path])
        return self.contents.get(path)

    def _parts(self) -> Iterable[tuple[str, str, str]]:
        """Yield (router, slash, file) of every path."""
        return (path.partition("/") for paths in (self.contents, self.others, self._refused) for path in paths)


def write(folder: Path, contents: Mapping[str, bytes], others: Collection[str]) -> None:
    """Write the files below `folder`, which must not exist yet. Raises OSError.

    The folder appears complete or not at all. The files in `others` are written empty: only their names matter, because
    the reader warns of firewall rules under names that it does not read.
    """
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    for path, data in (*contents.items(), *((path, b"") for path in others)):
        target = draft / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_bytes(data)
    draft.rename(folder)
