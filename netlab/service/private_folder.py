"""Keeps the data folder private to one user: the folder has mode 0700, and new files have mode 0600."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from netlab.errors import NetlabError

UMASK = 0o077
"""The umask of every process, with which other users have no access to new files."""


class FolderError(NetlabError):
    """The data folder cannot be used."""


def make_private(folder: Path) -> None:
    """Create the folder with mode 0700, or remove other users' access to an existing one. Raises FolderError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if status.st_uid != os.geteuid():
            raise FolderError(
                f"data folder {folder} belongs to user {status.st_uid}, not to this one ({os.geteuid()});"
                " choose one of your own with --data DIR or REACHQ_DATA"
            )
        if stat.S_IMODE(status.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise FolderError(
            f"data folder {folder}: {error.strerror}; choose another with --data DIR or REACHQ_DATA"
        ) from None


def close_to_others(folder: Path) -> None:
    """Remove other users' access to everything in the folder, for files of an older version. Raises FolderError."""
    try:
        for at, folders, files in os.walk(folder):
            for name in (*folders, *files):
                path = Path(at, name)
                mode = path.lstat().st_mode
                if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & UMASK:
                    path.chmod(stat.S_IMODE(mode) & ~UMASK)
    except FileNotFoundError:
        return  # another process has removed its file in the meantime
    except OSError as error:
        raise FolderError(
            f"data folder {folder}: {error.filename}: {error.strerror}; run chmod -R go= {folder} as its owner"
        ) from None
