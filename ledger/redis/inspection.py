"""Findings about the Redis server.

They are read from the server, judged by `ledger.redis.suitability` and cached briefly.
"""

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
from redis.sentinel import SentinelConnectionPool

from ledger.errors import StoreDamaged, StoreFull, StoreRefused, StoreUnavailable, UnsuitableStore
from ledger.redis import keys
from ledger.redis.connection import Connection, translated
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import AGREE, MARK, PROBE
from ledger.redis.suitability import Answers, Finding, Level, Refusal, judge
from ledger.settings import Settings

MARKER = "redis-id"
"""Name of the file in the data folder that contains the id of the store belonging to it."""
FRESH_S = 2.0
"""Maximum age of cached findings, in s. They are cached because the board shows them on every refresh."""


class ServerInspection(LedgerPart):
    """Examines the server itself, not its data. Thread-safe."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._lock = threading.Lock()
        self._seen: tuple[float, tuple[Finding, ...]] | None = None
        self._reported: frozenset[str] = frozenset()
        self._known_id = ""

    def findings(self, *, max_age_s: float = FRESH_S) -> tuple[Finding, ...]:
        """Return all findings about the server, the worst first. Examines the server again if the cache has expired."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > max_age_s:
                self._seen = None
                findings = judge(self._ask())
                self._seen = time.monotonic(), findings
            return self._seen[1]

    def vet(self, report: Callable[[str], object]) -> None:
        """Examine the server now, and `report` each finding that is new since the last call.

        Raises UnsuitableStore for a fatal finding.
        """
        findings = self.findings(max_age_s=0)
        texts = {str(finding) for finding in findings}
        for finding in findings:
            if finding.level is Level.FATAL:
                raise UnsuitableStore(str(finding), finding.for_anyone)
            if str(finding) not in self._reported:
                report(str(finding))
        self._reported = frozenset(texts)

    def mark_store(self) -> bool:
        """Give the store an id if it has users but no id, because its data is older than ids.

        Returns False if it has no users. Uses the id that this process or its data folder remembers, if any, because a
        backup may have been restored.
        """
        args = {"fresh": self._remember("")[0] or secrets.token_hex(8)}
        return bool(self.connection.run(MARK, {"users": keys.USERS, "store_id": keys.STORE_ID}, args)[0] == "marked")

    def _ask(self) -> Answers:
        with translated(), self.connection.client.pipeline(transaction=False) as pipe:
            pipe.info()
            pipe.get(keys.STORE_ID)
            if ask_config := not self.connection.client.connection_pool.connection_kwargs.get("username"):
                pipe.config_get(
                    "save"
                )  # denied to users with the rules of `reachq redis acl`, because CONFIG shows passwords
            info, store_id, *more = (_answer(reply) for reply in pipe.execute(raise_on_error=False))
        save = more[0] if ask_config else None
        refusal, text = self._refusal()
        known, marker = self._remember(store_id)
        verdict, *about = self._agree()
        return Answers(
            info=info,
            save=None if save is None else str(save.get("save", "")),
            refusal=refusal,
            refusal_text=text,
            store_id=store_id if isinstance(store_id, str) else "",
            known_id=known,
            marker=marker,
            sentinels=isinstance(self.connection.client.connection_pool, SentinelConnectionPool),
            newer=int(about[0]) if verdict == "newer" else 0,
            other=_other(*about) if verdict == "mixed" else "",
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

    def _agree(self) -> list[str]:
        """Ask whether processes of another version use the server. Returns [""] if the server does not accept the script.

        Raises StoreRefused if this user may not run it, because then the server's access rules are of another version.
        """
        found = {"layout": keys.LAYOUT_KEY, "workers": self.keys.workers, "leader": self.keys.leader}
        args = {"ours": keys.LAYOUT, "alive_ms": self.settings.lease_ms, **self._prefixes("worker_prefix")}
        try:
            return [str(word) for word in self.connection.run(AGREE, found, args)]
        except StoreRefused:
            raise
        except (StoreFull, StoreDamaged):
            return [""]
        except StoreUnavailable as refused:
            if isinstance(refused.__cause__, ResponseError):
                return [""]
            raise

    def _remember(self, store_id: object) -> tuple[str, str]:
        """Return the remembered store id and the file that contains it, or "" if only this process remembers it.

        The first id seen is kept.
        """
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


def _other(kind: str, name: str, host: str = "") -> str:
    """Return how a message names a process of another version."""
    return f"{kind} {name} on {host}" if host else f"{kind} {name}"


def _answer(reply: Any) -> Any:
    """Return the reply, or None for a command that an ACL or a wrong type refuses. Raises other errors."""
    if isinstance(reply, ResponseError) and not isinstance(reply, ReadOnlyError):
        return None
    if isinstance(reply, redis.RedisError):
        raise reply
    return reply


def _write_once(path: Path, text: str) -> bool:
    """Write `text` atomically to a new private file. Returns False if that is not possible."""
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
