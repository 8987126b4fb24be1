"""What is wrong with the Redis server: asked of it, remembered for a moment, judged by `ledger.redis.suitability`."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import ReadOnlyError, ResponseError

from ledger.errors import StoreFull, StoreUnavailable, UnsuitableStore
from ledger.redis import keys
from ledger.redis.connection import Connection, translated
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import MARK, PROBE
from ledger.redis.suitability import Answers, Finding, Level, Refusal, judge
from ledger.settings import Settings

MARKER = "redis-id"
"""File in the data folder: the id of the store that this folder belongs to."""
FRESH_S = 2.0
"""Findings are this old at most: they are shown with every look at the board."""


class Inspecting(LedgerPart):
    """The server itself, not what is in it; safe to share between threads."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._lock = threading.Lock()
        self._seen: tuple[float, tuple[Finding, ...]] | None = None
        self._reported: frozenset[str] = frozenset()
        self._known_id = ""

    def findings(self, *, max_age_s: float = FRESH_S) -> tuple[Finding, ...]:
        """All that is wrong with the server, the worst first; asked again when the last answer is older."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > max_age_s:
                self._seen = None
                found = judge(self._ask())
                self._seen = time.monotonic(), found
            return self._seen[1]

    def vet(self, report: Callable[[str], object]) -> None:
        """Ask now, and `report` each finding that the last call did not have; UnsuitableStore for a fatal one."""
        found = self.findings(max_age_s=0)
        texts = {str(finding) for finding in found}
        for finding in found:
            if finding.level is Level.FATAL:
                raise UnsuitableStore(str(finding))
            if str(finding) not in self._reported:
                report(str(finding))
        self._reported = frozenset(texts)

    def mark_store(self) -> bool:
        """Give the store an id if it has users and no id: its data is older than ids are. False: it has no users.

        It gets the id that this process or its data folder remembers, if any, since a backup may have been restored.
        """
        args = {"fresh": self._remember("")[0] or secrets.token_hex(8)}
        return bool(self.connection.run(MARK, {"users": keys.USERS, "store_id": keys.STORE_ID}, args)[0] == "marked")

    def _ask(self) -> Answers:
        with translated(), self.connection.client.pipeline(transaction=False) as pipe:
            pipe.info()
            pipe.get(keys.STORE_ID)
            if ask_config := not self.connection.client.connection_pool.connection_kwargs.get("username"):
                pipe.config_get("save")  # a user with the rules of `reachq redis acl` may not: CONFIG shows passwords
            info, store_id, *more = (_answer(reply) for reply in pipe.execute(raise_on_error=False))
        save = more[0] if ask_config else None
        refusal, text = self._refusal()
        known, marker = self._remember(store_id)
        return Answers(
            info=info,
            save=None if save is None else str(save.get("save", "")),
            refusal=refusal,
            refusal_text=text,
            store_id=store_id if isinstance(store_id, str) else "",
            known_id=known,
            marker=marker,
        )

    def _refusal(self) -> tuple[Refusal, str]:
        try:
            self.connection.run(PROBE, {}, {})
        except StoreFull:
            return Refusal.FULL, ""
        except StoreUnavailable as refused:
            cause = refused.__cause__
            if isinstance(cause, ReadOnlyError):
                return Refusal.READ_ONLY, ""
            if isinstance(cause, ResponseError):
                return Refusal.OTHER, str(cause)
            raise
        return Refusal.NONE, ""

    def _remember(self, store_id: object) -> tuple[str, str]:
        """The id known before, and the file that holds it ("": only this process does); the first id seen is kept."""
        path = self.settings.data.absolute() / MARKER
        now = store_id if isinstance(store_id, str) else ""
        with suppress(OSError):
            if known := path.read_text().strip():
                self._known_id = known
                return known, str(path)
        if _write_once(path, now):
            self._known_id = now
            return now, str(path)
        self._known_id = self._known_id or now
        return self._known_id, ""


def _answer(reply: Any) -> Any:
    """The reply, None for a command that an ACL or a wrong type refuses; other errors are raised."""
    if isinstance(reply, ResponseError) and not isinstance(reply, ReadOnlyError):
        return None
    if isinstance(reply, redis.RedisError):
        raise reply
    return reply


def _write_once(path: Path, text: str) -> bool:
    """Keep `text` in a new private file, complete from its first moment; False when that is not possible."""
    if not path.parent.is_dir():
        return False
    if not text:
        return True
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        draft.touch(mode=0o600)
        draft.write_text(f"{text}\n")
        os.rename(draft, path)
    except OSError:
        return False
    return True
