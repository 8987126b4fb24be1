"""The system token, from the settings, or from `<data>/token`, which the first process creates."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from ledger.errors import SettingsError
from ledger.settings import Settings

SHORTEST = 8


def load_or_create_token(settings: Settings) -> str:
    """Return the token that the web server, the command line and `reachq up` share.

    It is `settings.token` if given, otherwise the content of `<data>/token`, which is created (mode 0600) if missing.
    Raises SettingsError if the token is invalid or other users can read the file.
    """
    given = settings.token.get_secret_value()
    if given:
        return _usable(given, "REACHQ_TOKEN")
    path = settings.data.absolute() / "token"
    try:
        if not path.exists():
            _create(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise SettingsError(f"{path}: other users can read it; run chmod 600 {path}, or delete it to get a new one")
        return _usable(path.read_text("utf-8").strip(), str(path))
    except (OSError, UnicodeDecodeError) as bad:
        raise SettingsError(f"{path}: cannot be used for the token: {bad}; set REACHQ_TOKEN or fix it") from None


def _usable(token: str, origin: str) -> str:
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token or ":" in token:
        raise SettingsError(
            f"{origin}: a token must have at least {SHORTEST} printable ASCII characters and no space or colon"
        )
    return token


def _create(path: Path) -> None:
    """Write a new token. If two processes start at once, both get the one that was linked first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".token-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)
