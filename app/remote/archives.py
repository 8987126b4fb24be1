"""Packs a folder of facts for an upload."""

from __future__ import annotations

import contextlib
import io
import tarfile
from pathlib import Path

from netlab.errors import FactsError, Problem
from netlab.facts.sources.files import Unreadable
from netlab.facts.sources.folder import NetworkFolder

BESIDE_ROUTERS = "hosts.yaml"


def packed(path: Path) -> bytes:
    """Return a tar archive with the facts in a folder; an archive is returned as it is. Raises FactsError."""
    if not path.is_dir():
        try:
            return path.read_bytes()
        except OSError as bad:
            raise FactsError([Problem(str(path), 0, f"cannot be read: {bad.strerror}")]) from None
    buffer = io.BytesIO()
    try:
        with contextlib.closing(NetworkFolder(path)) as folder, tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            _add(archive, BESIDE_ROUTERS, folder.read(".", BESIDE_ROUTERS))
            for router in folder.routers():
                for file in sorted(folder.files(router)):
                    _add(archive, f"{router}/{file}", folder.read(router, file))
    except Unreadable as bad:
        raise FactsError([Problem(str(path), 0, str(bad))]) from None
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes | None) -> None:
    if content is None:
        return
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
