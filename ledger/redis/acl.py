"""The minimum rights of each process in Redis, as ACL rules (Redis 7.0 or newer, or Valkey).

The rights for scripts are derived from the scripts: from the commands that they call and the patterns of their KEYS and
prefixes. The other commands that `ledger`, RQ and rq-dashboard send are listed here for each role. Tests run a whole
system under these rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ledger.redis import keys, rq_layout, scripts
from ledger.redis.keys import MODES, Keys
from ledger.redis.scripts import Script

_EVERYWHERE = "time"
_EXAMINES = "info get"
"""Commands that a process uses to examine the server itself, in addition to the script `probe`."""
_BENCH_KEYS = (
    f"{' '.join(f'pending_{mode} running_{mode}' for mode in MODES)} surplus waiting free leased lane leases leader"
    " dispatchers seq workers worker hosts status paused restart damaged snapshots snapshot contents unchecked current"
    " asked_snapshots changes change flows queued_questions"
)
_PEOPLE = "user users session sessions token tokens"
_LOOKS = (
    "hgetall hget hmget hkeys hvals hlen get pttl smembers scard lrange llen zrange zrevrange zcard xrange xread xlen"
)
"""Read-only commands."""


@dataclass(frozen=True)
class Role:
    """One Redis user. Words in the fields are separated by spaces, and keys have the names used in the script headers.

    `commands`, `reads` and `writes` describe what the process sends outside scripts. `spares` are keys that the role's
    scripts receive but do not use in this role, or only read; keys that are read are also in `reads`. `moves` are keys
    that the role may rename to one another without the right to write them. `sorts` is true if it uses SORT with GET,
    because Redis demands the right to read every key for that.
    """

    name: str
    purpose: str
    scripts: tuple[Script, ...] = ()
    commands: str = ""
    reads: str = ""
    writes: str = ""
    spares: str = ""
    moves: str = ""
    sorts: bool = False

    @cached_property
    def all_commands(self) -> tuple[str, ...]:
        """Every command that the role may send or call in a script, sorted. A subcommand is `name|subcommand`."""
        return tuple(sorted({*_EVERYWHERE.split(), *self.commands.split(), *self.called}))

    @cached_property
    def called(self) -> frozenset[str]:
        """The commands that the role's scripts may call."""
        called = frozenset(name.lower() for script in self.scripts for name in script.commands)
        return called - {"sort_ro", "rename"}  # these have a separate selector

    def patterns(self, *benches: str) -> dict[str, str]:
        """Return {key pattern: `R` or `RW`} for the benches of these networks, sorted by pattern."""
        given = {name for script in self.scripts for name in key_names(script)} - set(self.spares.split())
        written = {p for bench in benches for name in given for p in patterns(name, bench)}
        written |= {p for bench in benches for name in self.writes.split() for p in patterns(name, bench)}
        read = {p for bench in benches for name in given | set(self.reads.split()) for p in patterns(name, bench)}
        return {pattern: "RW" if pattern in written else "R" for pattern in sorted(read | written)}

    def moved(self, *benches: str) -> list[str]:
        """Return the patterns of the keys that the role may rename, sorted."""
        return sorted(
            {pattern for bench in benches for name in self.moves.split() for pattern in patterns(name, bench)}
        )

    def user(self, bench: str) -> str:
        """Return the name of the Redis user."""
        return f"reachq-{bench}-{self.name}"

    def rule(self, benches: Sequence[str], password: str | None) -> str:
        """Return the line for an ACL file. The user has the name of the first bench, and the rights for all of them.

        Without a password, the line contains a placeholder that Redis does not accept until it is replaced.
        """
        secret = hashlib.sha256(password.encode()).hexdigest() if password else "SHA256-OF-THE-PASSWORD"
        patterns = self.patterns(*benches).items()
        words = ["user", self.user(benches[0]), "reset", "on", f"#{secret}", "resetchannels"]
        words += [f"~{pattern}" if access == "RW" else f"%R~{pattern}" for pattern, access in patterns]
        words += ["-@all", *(f"+{command}" for command in self.all_commands)]
        if self.moves:  # a separate selector: the right to rename a key is not the right to write it
            words += [f"(+rename {' '.join(f'~{pattern}' for pattern in self.moved(*benches))})"]
        if self.scripts:  # a script's KEYS grant no rights: Redis checks each of its commands
            words += ["(+eval +evalsha ~*)"]
        if self.sorts:
            words += ["(+sort +sort_ro %R~*)"]
        return " ".join(words)


def patterns(name: str, bench: str) -> tuple[str, ...]:
    """Return the key patterns for a name in a script header. Raises LookupError for an unknown name."""
    name = name.removesuffix("...")
    if name in _SHARED:
        return _SHARED[name]
    if name in ("deferred", *(f"deferred_{mode}" for mode in MODES)):
        return tuple(rq_layout.deferred(bench, mode) for mode in MODES if name in ("deferred", f"deferred_{mode}"))
    if name in ("queue_prefix", "rq_queue"):
        return tuple(rq_layout.QUEUE + queue for queue in rq_layout.worker_queues(bench))
    if name == "rq_wip":
        return tuple(f"rq:wip:{rq_layout.waiting_queue(bench, mode)}*" for mode in MODES)
    if name == "rq_worker":
        return tuple(f"rq:worker:{queue}" for queue in rq_layout.worker_queues(bench))
    if name == "rq_queue_workers":
        return tuple(f"rq:workers:{queue}" for queue in rq_layout.worker_queues(bench))
    if name == "found":  # repairs may touch any key of the bench or of its runs
        parts = ("run", "events", "finished", "drained", "layout", "file_uses", "job", "rq_queues", "deferred")
        return (
            f"{Keys(bench).prefix}*",
            *(pattern for part in (*parts, "queue_prefix") for pattern in patterns(part, bench)),
        )
    names = vars(Keys(bench))
    stem, _, mode = name.rpartition("_")
    if isinstance(by_mode := names.get(name), dict):
        return tuple(by_mode.values())
    if isinstance(by_mode := names.get(stem), dict):
        return (by_mode[mode],)
    for attribute, ending in ((name.removesuffix("_prefix") + "_prefix", "*"), (name, "")):
        if isinstance(key := names.get(attribute), str):
            return (key + ending,)
    raise LookupError(f"ledger.redis.acl does not know which keys {name!r} means: add it to `patterns`")


def key_names(script: Script) -> set[str]:
    """Return the names of all keys that a script touches: its KEYS, and the prefixes among its arguments."""
    return {*script.keys, *(arg for arg in script.args if arg.removesuffix("...").endswith(("_prefix", "_prefixes")))}


_SHARED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("run", "result", "questions", "log", "run_prefix"), (f"{keys.RUN}*",)),
    **dict.fromkeys(("file", "file_prefix"), (f"{keys.FILE}*",)),
    "file_uses": (keys.FILE_USES,),
    "networks": (keys.NETWORKS,),
    "drained": (keys.DRAINED,),
    "events": (keys.EVENTS,),
    "finished": (keys.FINISHED,),
    **dict.fromkeys(("user", "user_prefix"), (f"{keys.USER}*",)),
    "users": (keys.USERS,),
    "store_id": (keys.STORE_ID,),
    "layout": (keys.LAYOUT_KEY,),
    **dict.fromkeys(("session", "session_prefix"), (f"{keys.SESSION}*",)),
    **dict.fromkeys(("sessions", "sessions_prefix"), (f"{keys.SESSIONS}*",)),
    **dict.fromkeys(("token", "token_prefix"), (f"{keys.TOKEN}*",)),
    "tokens": (f"{keys.TOKENS}*",),
    "record": (f"{keys.SESSION}*", f"{keys.TOKEN}*"),
    **dict.fromkeys(("name", "address", "throttle"), (f"{keys.THROTTLE}*",)),
    **dict.fromkeys(("job", "job_prefix"), (f"{rq_layout.JOB}*",)),
    **dict.fromkeys(("aside", "aside_prefix"), (f"{keys.ASIDE}*",)),
    "rq_queues": (rq_layout.QUEUES,),
    "rq_prefixes": tuple(f"{prefix}*" for prefix in rq_layout.LEFTOVERS),
    "rq_attempts": ("rq:execution:*", f"{rq_layout.EXECUTIONS}*"),
    "rq_workers": ("rq:workers",),
    "rq_suspended": ("rq:suspended",),
    "rq": ("rq:*",),
}
"""Patterns of RQ's keys and of the keys that do not belong to one bench, by their names in the scripts."""


def _union(name: str, purpose: str, roles: Iterable[Role]) -> Role:
    """Combine several roles into one Redis user."""
    parts = tuple(roles)

    def words(field: str) -> str:
        return " ".join(sorted({word for part in parts for word in getattr(part, field).split()}))

    verbs = tuple(dict.fromkeys(script for part in parts for script in part.scripts))
    return Role(
        name, purpose, verbs, f"ping {words('commands')}", words("reads"), words("writes"), "", words("moves"), True
    )


WEB = Role(
    "web",
    "the web server: python -m app",
    scripts=(
        *(scripts.SUBMIT, scripts.CANCEL, scripts.SEARCH, scripts.PAUSE, scripts.RESUME, scripts.RESTART, scripts.NOTE),
        *(scripts.DRAIN, scripts.UNDRAIN),
        *(
            scripts.ADD_USER,
            scripts.UPDATE_USER,
            scripts.REMOVE_USER,
            scripts.START_SESSION,
            scripts.FIND_SESSION,
            scripts.END_SESSION,
        ),
        *(scripts.ADD_TOKEN, scripts.FIND_TOKEN, scripts.REVOKE_TOKEN, scripts.TOUCH),
        *(scripts.COUNT_LOGIN_ATTEMPT, scripts.RESET_LOGIN_ATTEMPTS, scripts.UNCOUNT_LOGIN_ATTEMPT),
        *(scripts.KEEP, scripts.USE, scripts.PIN, scripts.UNPIN, scripts.DROP),
        *(scripts.ADD_NETWORK, scripts.REMOVE_NETWORK, scripts.ADD_CHANGE, scripts.REMOVE_CHANGE, scripts.SET_FLOWS),
        *(scripts.PROBE, scripts.AGREE, scripts.MARK),
    ),
    commands=f"{_LOOKS} {_EXAMINES} set xrevrange zrank exists echo multi exec srem",
    reads=f"networks drained run events finished {_BENCH_KEYS} hits {_PEOPLE} rq",
    writes="file rq_workers rq_worker",  # rq-dashboard removes dead workers from RQ's list
    spares="workers leader",
    sorts=True,
)
DISPATCHER = Role(
    "dispatcher",
    "the dispatchers: python -m compat_dispatcher",
    scripts=(
        *(scripts.LEAD, scripts.RESIGN, scripts.VIEW, scripts.PROMOTE, scripts.EXPLAIN, scripts.REAP, scripts.TRIM),
        *(
            scripts.SETTLE,
            scripts.PROBE,
            scripts.AGREE,
            scripts.SET_ASIDE,
            scripts.PLACE,
            scripts.TIDY,
            scripts.MOVE_AWAY,
        ),
    ),
    commands=f"{_EXAMINES} hmget pttl smembers xread xrevrange zrange zrem del lrem"
    " scan type hget hgetall hkeys hlen lrange zcard zscore",
    reads="networks store_id rq_queues workers paused drained status found",
    writes="rq_attempts rq_wip queue_prefix",
    spares="workers paused drained status found",
    moves="found aside",
)
WORKER = Role(
    "worker",
    "a pool of workers: python -m workers",
    scripts=(
        *(scripts.ANNOUNCE, scripts.WITHDRAW, scripts.BEGIN, scripts.RENEW, scripts.FINISH, scripts.REAP),
        *(scripts.PROGRESS, scripts.REPORT, scripts.TAKE_RESTART, scripts.SETTLE_CHECK, scripts.PROBE),
        *(scripts.KEEP, scripts.USE, scripts.ADD_NETWORK, scripts.AGREE),
    ),
    commands=f"{_EXAMINES} zrange zrevrange smembers set hgetall client|setname client|info multi exec"
    " blmove lpush lrange lrem exists del expire hset hincrby hget sadd srem zadd zrem",
    reads="networks rq_suspended store_id leader",
    writes="file queue_prefix rq_workers rq_worker rq_queue_workers rq_attempts rq_wip job asked_snapshots",
    spares="leader",
)
OPERATOR = Role(
    "operator",
    "the command line: reachq",
    scripts=(
        *(scripts.SUBMIT, scripts.CANCEL, scripts.PAUSE, scripts.RESUME, scripts.RESTART),
        *(scripts.DRAIN, scripts.UNDRAIN),
        *(
            scripts.ADD_USER,
            scripts.UPDATE_USER,
            scripts.REMOVE_USER,
            scripts.ADD_TOKEN,
            scripts.REVOKE_TOKEN,
            scripts.RESET_LOGIN_ATTEMPTS,
        ),
        *(scripts.KEEP, scripts.USE, scripts.PIN, scripts.UNPIN, scripts.DROP),
        *(scripts.ADD_NETWORK, scripts.REMOVE_NETWORK, scripts.ADD_CHANGE, scripts.REMOVE_CHANGE, scripts.SET_FLOWS),
        *(scripts.PROBE, scripts.AGREE),
    ),
    commands=f"{_LOOKS} {_EXAMINES} set exists echo",
    writes="file",
    spares="workers leader",
    reads=f"networks drained run events finished {_BENCH_KEYS} {_PEOPLE} store_id",
    sorts=True,
)
MONITOR = Role(
    "monitor",
    "read-only inspection with redis-cli, without access to user data",
    commands="type get mget pttl hgetall hmget smembers lrange zrange zrevrange xrange xrevrange xread xlen info",
    reads=f"networks drained run events finished store_id layout aside {_BENCH_KEYS} file file_uses epoch fence hits rq",
)
SYSTEM = _union(
    "system", "all processes of `reachq up` under one user, and the command line", (WEB, DISPATCHER, WORKER, OPERATOR)
)
ROLES = {role.name: role for role in (WEB, DISPATCHER, WORKER, OPERATOR, MONITOR, SYSTEM)}
