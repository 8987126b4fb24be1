"""Checks whether a Redis server is suitable for reachq: turns the server's answers into findings. Pure functions.

Each finding is one sentence with its remedy. Every process, `/readyz`, `reachq bench status`, `reachq bench doctor` and
the board show the same findings. A value that the server does not show to reachq is reported as unknown, never as good.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ledger.redis.keys import LAYOUT

VERSION_MIN = (7, 0)
"""Oldest suitable version.

Redis 7.0 introduced function flags in scripts (`#!lua flags=...`), and every script of reachq has them.
"""


class Level(StrEnum):
    """Effect of a finding. FATAL: no process may start. BLOCKING: no run is accepted now. WARNING: data is at risk."""

    FATAL = "fatal"
    BLOCKING = "blocking"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. Its `code` never changes. `sentence` contains no internal names, but `about` and `remedy` may.

    `about` names the process that the fault is about, if there is one.
    """

    code: str
    level: Level
    sentence: str
    remedy: str
    about: str = ""

    def __str__(self) -> str:
        return f"{self.sentence}{f': {self.about}' if self.about else ''}; {self.remedy}."

    @property
    def for_anyone(self) -> str:
        """The fault and its remedy without `about`."""
        return f"{self.sentence}; {self.remedy}."


class Refusal(StrEnum):
    """Why a script that may write was refused. NONE means that it was accepted."""

    NONE = ""
    FULL = "full"
    READ_ONLY = "read-only"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Answers:
    """The server's answers. None means that an ACL did not allow the question.

    `info` is the reply to INFO, and `save` the reply to CONFIG GET save. `store_id` is the id stored in the server ("":
    none). `known_id` is the id that this process or its data folder remembers ("": none), and `marker` is the file that
    contains it. `sentinels` is whether Sentinels named the server. `newer` is the layout of a newer version that has worked
    with it (0: none), and `other` names a live process of another version ("": none, or unknown).
    """

    info: Mapping[str, object] | None
    save: str | None = None
    refusal: Refusal = Refusal.NONE
    refusal_text: str = ""
    store_id: str | None = ""
    known_id: str = ""
    marker: str = ""
    sentinels: bool = False
    newer: int = 0
    other: str = ""


def judge(answers: Answers) -> tuple[Finding, ...]:
    """Return all findings, the worst first."""
    findings = [
        *_about_the_server(answers),
        *_about_versions(answers),
        *_about_writes(answers),
        *_about_the_data(answers),
    ]
    if any(finding.level is Level.FATAL for finding in findings):
        findings = [
            finding for finding in findings if finding.level is not Level.BLOCKING
        ]  # caused by the fatal finding
    order = list(Level)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.level)))


def _about_the_server(answers: Answers) -> Iterator[Finding]:
    info = answers.info
    if info is None:
        yield Finding(
            "redis-unknown",
            Level.WARNING,
            "Redis does not let reachq read INFO, so its version, mode and persistence are unknown",
            "allow the command INFO in the ACL of reachq's Redis user",
        )
        return
    mode = str(info.get("redis_mode") or info.get("server_mode") or "")
    elsewhere = "or set REACHQ_REDIS_URL to another server"
    version = re.match(r"(\d+)\.(\d+)", str(info.get("redis_version", "")))
    if mode == "sentinel":
        yield Finding(
            "redis-sentinel",
            Level.FATAL,
            "This is a Redis Sentinel, which stores no data",
            "set REACHQ_REDIS_URL to redis+sentinel://HOST:PORT,HOST:PORT,HOST:PORT/SERVICE with the name of the service",
        )
        return
    if version is None:
        yield Finding(
            "redis-unknown",
            Level.WARNING,
            "Redis does not report its version, so it is unknown whether it is 7.0 or newer",
            f"check it, {elsewhere}",
        )
    elif (int(version[1]), int(version[2])) < VERSION_MIN:
        yield Finding(
            "redis-version",
            Level.FATAL,
            f"Redis has version {info['redis_version']}, and reachq needs 7.0 or newer",
            f"upgrade it, {elsewhere}",
        )
    if mode == "cluster" or str(info.get("cluster_enabled", "0")) == "1":
        yield Finding(
            "redis-cluster",
            Level.FATAL,
            "Redis runs in Cluster mode, and reachq needs all its keys on one server",
            f"set `cluster-enabled no`, {elsewhere}",
        )


def _about_versions(answers: Answers) -> Iterator[Finding]:
    if answers.newer:
        yield Finding(
            "reachq-newer",
            Level.FATAL,
            "A newer version of reachq has worked with this Redis server"
            f" (its layout is {answers.newer}, that of this version is {LAYOUT})",
            "install the newer version on this machine, and start its processes again",
        )
    if answers.other:
        yield Finding(
            "reachq-mixed",
            Level.FATAL,
            "Another version of reachq works with this Redis server",
            "stop it, install the same version on all machines, and start all processes again"
            " (a killed process counts for a few more seconds)",
            f"its {answers.other}",
        )


def _about_writes(answers: Answers) -> Iterator[Finding]:
    role = str((answers.info or {}).get("role", ""))
    if answers.refusal is Refusal.READ_ONLY or (role == "slave" and answers.refusal is Refusal.OTHER):
        yield Finding(
            "redis-replica",
            Level.BLOCKING,
            "Redis is a read-only replica, so nothing can be accepted",
            "set REACHQ_REDIS_URL to its primary, or promote it with `REPLICAOF NO ONE`",
        )
    elif answers.refusal is Refusal.FULL:
        yield Finding(
            "redis-full",
            Level.BLOCKING,
            "Redis has no memory left, so no new run can be accepted; runs in progress finish",
            "raise maxmemory, or lower REACHQ_KEEP_FINISHED",
        )
    elif answers.refusal is Refusal.OTHER:
        yield Finding(
            "redis-refuses",
            Level.BLOCKING,
            "Redis refuses writes, so nothing can be accepted",
            f"fix the cause that Redis reports: {answers.refusal_text}".rstrip(". "),
        )


def _about_the_data(answers: Answers) -> Iterator[Finding]:
    info = answers.info or {}
    # Redis reports this field only if min-replicas-to-write is set.
    if answers.sentinels and info.get("role") == "master" and "min_slaves_good_slaves" not in info:
        yield Finding(
            "redis-min-replicas",
            Level.WARNING,
            "Redis accepts writes without any replica, so a primary that a failover replaces loses what it still accepts",
            "set `min-replicas-to-write 1` on each of at least three servers (docs/operations.md, Redis with Sentinel)",
        )
    policy = str(info.get("maxmemory_policy", ""))
    if policy not in ("", "noeviction"):
        yield Finding(
            "redis-evicts",
            Level.WARNING,
            f"Redis deletes keys when its memory is full (maxmemory-policy {policy}), so runs and accounts can be lost",
            "set `maxmemory-policy noeviction`",
        )
    elif answers.info is not None and not policy:
        yield Finding(
            "redis-eviction-unknown",
            Level.WARNING,
            "Redis does not report its maxmemory-policy, so it is unknown whether it deletes keys when its memory is full",
            "check that it is noeviction",
        )
    if answers.info is not None and str(info.get("aof_enabled", "")) != "1":
        yield from _without_aof(answers.save)
    instead = f", or delete {answers.marker} and restart the web server to keep this one" if answers.marker else ""
    if answers.known_id and answers.store_id is not None and answers.store_id != answers.known_id:
        yield Finding(
            "redis-new",
            Level.WARNING,
            "Redis does not hold the accounts and runs that were here before: it was emptied or replaced",
            "restore its data (docs/operations.md, Backup)" + instead,
        )


def _without_aof(save: str | None) -> Iterator[Finding]:
    if save is None:
        yield Finding(
            "redis-persistence-unknown",
            Level.WARNING,
            "Redis has no append-only file and does not show reachq its CONFIG, so it is unknown whether it keeps its data",
            "set `appendonly yes`",
        )
    elif not save.strip():
        yield Finding(
            "redis-not-persistent",
            Level.WARNING,
            "Redis keeps nothing on disk (no append-only file, no snapshots), so a restart loses all runs and accounts",
            "set `appendonly yes`",
        )
