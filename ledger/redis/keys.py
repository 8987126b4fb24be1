"""Every key of reachq in Redis, with its type and a description. No other module contains the name of a key.

`CATALOGUE` describes the keys for operators, leak checks and documents. `Keys(bench)` gives the names for one bench.
For keys that contain an id there is also a prefix, because a script learns most ids only while it runs. RQ's own keys
are in `ledger.redis.rq_layout`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

RedisType = Literal["string", "hash", "list", "set", "zset", "stream", "any"]
_BENCH = r"[a-z][a-z0-9-]{0,30}"
LAYOUT = 3
"""Number of the layout of the data and of the protocol between the processes.

Increase it in every change after which processes of the versions before and after it must not work together. Versions
before 2 stored no number.
"""
LOCAL = "local"
"""Name of the host that has no name of its own. Its keys are those of an installation with only one host."""
NO_BENCH = frozenset(
    {"drained", "user", "session", "sessions", "token", "tokens", "throttle", "damaged", "file", "file-uses"}
)
"""Names that no bench may have. Otherwise, `reachq:user:leader` for example would be ambiguous."""


@dataclass(frozen=True, slots=True)
class Key:
    """One kind of key. `pattern` is its name with placeholders such as `<id>`, `<bench>` and `<mode>`."""

    pattern: str
    type: RedisType
    holds: str

    @property
    def regex(self) -> re.Pattern[str]:
        """Regular expression that matches every name of this kind and no other."""
        bench = rf"(?!({'|'.join(sorted(NO_BENCH))}):){_BENCH}"
        parts = {"<id>": r"[0-9a-f-]{36}", "<bench>": bench, "<mode>": f"({'|'.join(MODES)})"}
        parts |= {"<name>": r"[a-z][a-z0-9._-]{0,30}", "<hash>": "[0-9a-f]{64}"}
        text = re.escape(self.pattern)
        for name, part in {
            **parts,
            "<n>": r"\d\d",
            "<host>": _BENCH,
            "<ms>": r"\d+",
            "<key>": "(rq|reachq):.+",
            "<queue>": r"[^\s:]+",
            "<facts>": r"[0-9a-f]{1,64}",
        }.items():
            text = text.replace(name, part)
        return re.compile(text)


MODES = ("quick", "detailed", "bulk")

CATALOGUE: tuple[Key, ...] = (
    Key("reachq:run:<id>", "hash", "the whole record of a run; empty fields are left out"),
    Key("reachq:run:<id>:result", "string", "the result document of a run that is done, JSON"),
    Key("reachq:run:<id>:questions", "string", "the questions of a bulk run, JSON"),
    Key("reachq:run:<id>:log", "stream", "progress: phase, percent, message"),
    Key("reachq:<bench>:pending:<mode>", "list", "the line: runs in the order they start; turn, or seq, orders both"),
    Key("reachq:<bench>:surplus:<mode>:<name>", "zset", "waiting runs of a user beyond the first 32: run -> seq"),
    Key("reachq:<bench>:waiting:<mode>", "hash", "user -> how many of the user's runs wait, in the line and beyond it"),
    Key("reachq:<bench>:queued-questions", "hash", "user -> how many questions the user's waiting bulk runs have"),
    Key("reachq:<bench>:running:<mode>", "set", "runs that hold a slot: promoted or running"),
    Key("reachq:<bench>:dscp:free", "set", "free lanes; with leased always exactly 32-63"),
    Key("reachq:<bench>:dscp:leased", "set", "lanes leased to a quick or bulk run"),
    Key("reachq:<bench>:dscp:lane:<n>", "hash", "who holds lane n: run, token, fence, worker, since_ms"),
    Key("reachq:<bench>:dscp:free:<host>", "set", "free lanes of a host with a name; those without are the host local"),
    Key("reachq:<bench>:dscp:leased:<host>", "set", "lanes of a host with a name that are leased to a run"),
    Key("reachq:<bench>:dscp:lane:<host>:<n>", "hash", "who holds lane n of a host with a name"),
    Key("reachq:<bench>:hosts", "zset", "the hosts with workers: name -> last heartbeat of a worker, ms"),
    Key("reachq:<bench>:leases", "zset", "run -> deadline, ms on Redis's clock"),
    Key("reachq:<bench>:leader", "string", "the leadership lock, PX: `<dispatcher id> v<layout> <epoch>`"),
    Key("reachq:<bench>:dispatchers", "zset", "dispatcher id -> when it last asked for the leadership, ms"),
    Key("reachq:<bench>:epoch", "string", "counter of leadership terms"),
    Key("reachq:<bench>:fence", "string", "counter of attempts; a new term raises it above the clock and the bench's"),
    Key("reachq:<bench>:seq", "string", "counter of submissions and of entries from the surplus into the line"),
    Key("reachq:<bench>:workers", "zset", "queue of each announced worker -> its last heartbeat, ms"),
    Key(
        "reachq:<bench>:worker:<queue>",
        "hash",
        "the worker of a queue: name, mode, pid, host, layout, its run, missed_ms",
    ),
    Key("reachq:<bench>:status", "hash", "what the bench last reported, a JSON value a field; reported_ms"),
    Key("reachq:<bench>:status:<host>", "hash", "what the bench of a host with a name last reported; PX"),
    Key("reachq:<bench>:paused", "hash", "while the bench is paused: by, why, since_ms"),
    Key("reachq:<bench>:restart", "string", "request to restart the bench, PX: `<by> <ms>`; gone once it is taken"),
    Key("reachq:<bench>:restart:<host>", "string", "the same for the bench of a host with a name"),
    Key("reachq:<bench>:hits:<facts>", "hash", "hits of each rule of these facts; `last <rule>`: when last, ms"),
    Key("reachq:<bench>:snapshots", "zset", "the snapshots of the network: facts -> when pushed, ms"),
    Key(
        "reachq:<bench>:snapshot:<facts>",
        "hash",
        "a snapshot: state, by, pushed_ms, digest, its pin, what was found",
    ),
    Key(
        "reachq:<bench>:contents:<facts>",
        "hash",
        "path of each file of a snapshot -> its hash; empty: not stored",
    ),
    Key("reachq:<bench>:unchecked", "set", "snapshots that no host has tried to build yet"),
    Key("reachq:<bench>:asked", "zset", "snapshots that bulk runs name: facts -> until when their bench is needed, ms"),
    Key("reachq:<bench>:changes", "zset", "the comparisons of two snapshots: id -> when, ms"),
    Key("reachq:<bench>:change:<id>", "hash", "a comparison: its snapshots, its runs, what was expected, who, when"),
    Key("reachq:<bench>:management-flows", "string", "rows of the questions that every comparison asks and guards"),
    Key("reachq:<bench>:current", "string", "the snapshot that the network answers from"),
    Key("reachq:<bench>:damaged", "hash", "what was set aside: run id or key -> `<ms> <what was wrong>`; PX"),
    Key("reachq:drained", "hash", "the hosts on which no run starts: name -> JSON with by, why, since_ms"),
    Key("reachq:networks", "zset", "the networks of the installation: name -> when added, ms"),
    Key("reachq:layout", "string", "number of the layout of the newest version that has worked with this server"),
    Key("reachq:damaged:<ms>:<key>", "any", "a key that had a wrong type, renamed, PX: when, and its name then"),
    Key("reachq:events", "stream", "every change of state, capped; ids are SSE ids"),
    Key("reachq:finished", "zset", "ended runs by end time, ms; trimmed by keep_finished"),
    Key(
        "reachq:file:<hash>",
        "string",
        "a file of facts by the hash of its meaning, zlib; PX until it is used",
    ),
    Key("reachq:file-uses", "hash", "hash of a file -> number of snapshots that have it"),
    # people
    Key("reachq:user:<name>", "hash", "a user: role, password (an argon2 hash), created_ms, changed_ms, by, seen_ms"),
    Key("reachq:users", "set", "names of all users"),
    Key(
        "reachq:session:<hash>",
        "hash",
        "the session whose cookie has this SHA-256, PX: user, csrf, via, address, agent, times",
    ),
    Key("reachq:sessions:<name>", "set", "hashes of a user's sessions; expired ones are removed at the next sign-in"),
    Key("reachq:token:<hash>", "hash", "the API token with this SHA-256: id, user, name, created_ms, used_ms"),
    Key("reachq:tokens:<name>", "set", "hashes of a user's tokens"),
    Key("reachq:store-id", "string", "random id of this store, made with its first user; an emptied store has another"),
    Key("reachq:throttle:<hash>", "string", "attempts to sign in, PX, under the SHA-256 of a name or address"),
)

RUN = "reachq:run:"
RESULT_SUFFIX = ":result"
LOG_SUFFIX = ":log"
QUESTIONS_SUFFIX = ":questions"
ASIDE = "reachq:damaged:"
FILE = "reachq:file:"
FILE_USES = "reachq:file-uses"
NETWORKS = "reachq:networks"
DRAINED = "reachq:drained"
EVENTS = "reachq:events"
FINISHED = "reachq:finished"

USER = "reachq:user:"
USERS = "reachq:users"
SESSION = "reachq:session:"
SESSIONS = "reachq:sessions:"
TOKEN = "reachq:token:"
TOKENS = "reachq:tokens:"
THROTTLE = "reachq:throttle:"
STORE_ID = "reachq:store-id"
LAYOUT_KEY = "reachq:layout"


def run(run_id: str) -> str:
    """Return the key of a run's record (HASH)."""
    return RUN + run_id


def result(run_id: str) -> str:
    """Return the key of a run's result document (STRING)."""
    return RUN + run_id + RESULT_SUFFIX


def log(run_id: str) -> str:
    """Return the key of a run's progress (STREAM)."""
    return RUN + run_id + LOG_SUFFIX


def questions(run_id: str) -> str:
    """Return the key of the questions of a bulk run (STRING)."""
    return RUN + run_id + QUESTIONS_SUFFIX


def user(name: str) -> str:
    """Return the key of a user (HASH)."""
    return USER + name


def sessions(name: str) -> str:
    """Return the key of the hashes of a user's sessions (SET)."""
    return SESSIONS + name


def tokens(name: str) -> str:
    """Return the key of the hashes of a user's API tokens (SET)."""
    return TOKENS + name


def is_bench(name: str) -> bool:
    """Return whether this may be the name of a network and its bench, unless it is one of NO_BENCH."""
    return bool(re.fullmatch(_BENCH, name))


def is_host(name: str) -> bool:
    """Return whether this may be the name of a host."""
    return bool(re.fullmatch(_BENCH, name))


def owner(name: str) -> Key | None:
    """Return the catalogue entry that a key belongs to, or None for an unknown key."""
    return next((key for key in CATALOGUE if key.regex.fullmatch(name)), None)


class Keys:
    """The key names of one bench. CATALOGUE says what each key contains."""

    def __init__(self, bench: str) -> None:
        at = f"reachq:{bench}:"
        self.bench = bench
        self.pending = {mode: f"{at}pending:{mode}" for mode in MODES}
        self.waiting = {mode: f"{at}waiting:{mode}" for mode in MODES}
        self.queued_questions = f"{at}queued-questions"
        self.surplus_prefix = f"{at}surplus:"
        self.running = {mode: f"{at}running:{mode}" for mode in MODES}
        self.free = f"{at}dscp:free"
        self.leased = f"{at}dscp:leased"
        self.lane_prefix = f"{at}dscp:lane:"
        self.free_prefix = self.free
        self.leased_prefix = self.leased
        """Prefixes of the sets of all hosts, for the access rules."""
        self.hosts = f"{at}hosts"
        self.leases = f"{at}leases"
        self.leader = f"{at}leader"
        self.dispatchers = f"{at}dispatchers"
        self.epoch = f"{at}epoch"
        self.fence = f"{at}fence"
        self.seq = f"{at}seq"
        self.workers = f"{at}workers"
        self.worker_prefix = f"{at}worker:"
        self.status = f"{at}status"
        self.status_prefix = self.status
        self.paused = f"{at}paused"
        self.restart = f"{at}restart"
        self.restart_prefix = self.restart
        self.snapshots = f"{at}snapshots"
        self.snapshot_prefix = f"{at}snapshot:"
        self.contents_prefix = f"{at}contents:"
        self.unchecked = f"{at}unchecked"
        self.asked_snapshots = f"{at}asked"
        self.changes = f"{at}changes"
        self.change_prefix = f"{at}change:"
        self.flows = f"{at}management-flows"
        self.current = f"{at}current"
        self.damaged = f"{at}damaged"
        self.prefix = at
        self.hits_prefix = f"{at}hits:"

    def surplus(self, mode: str, user: str) -> str:
        """Return the key of the waiting runs of a user and mode that are not in the line yet (ZSET)."""
        return f"{self.surplus_prefix}{mode}:{user}"

    def lane(self, dscp: int, host: str = LOCAL) -> str:
        """Return the key of the holder of a lane of a host (HASH)."""
        return f"{self.lane_prefix}{dscp}" if host == LOCAL else f"{self.lane_prefix}{host}:{dscp}"


def of_host(key: str, host: str) -> str:
    """Return the key that a host has of a kind of which each host has one: `free`, `leased`, `status` or `restart`."""
    return key if host == LOCAL else f"{key}:{host}"
