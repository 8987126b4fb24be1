"""The Lua scripts as typed operations with arguments and statuses, loaded from `ledger/lua/`. Each file has one verb.

A test checks that each `Script` here agrees with the header of its file. Every reply is a list that starts with a named
status.

When a file is loaded, three kinds of lines are changed. Each stays one line, so Redis reports the line numbers of the
file:

| line | becomes |
|---|---|
| `-- KEYS: run waiting_quick waiting_detailed waiting_bulk` | these locals, `waiting` as a table by mode, and `call` |
| `-- ARGV: id fields...` | locals `id` and `fields_at`, the index of the first of `fields...` |
| `-- INCLUDE clock` | the code of `ledger/lua/include/clock.lua` |
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ledger.redis.keys import MODES

_FOLDER = Path(__file__).parents[1] / "lua"


@dataclass(frozen=True)
class Script:
    """One verb: its file, the names of its KEYS and ARGV in order, and its statuses.

    A last name `name...` means any number of further arguments.
    """

    file: str
    """Path below `ledger/lua` without the suffix, for example `runs/promote`."""
    keys: tuple[str, ...]
    args: tuple[str, ...]
    statuses: frozenset[str]

    @property
    def verb(self) -> str:
        """Name of the script without its folder, for example `promote`."""
        return self.file.rpartition("/")[2]

    @cached_property
    def source(self) -> str:
        """The Lua text as Redis runs it."""
        text = re.sub(r"^-- KEYS:.*$", self._keys_as_locals(), self.text, count=1, flags=re.MULTILINE)
        text = re.sub(r"^-- ARGV:.*$", self._args_as_locals(), text, count=1, flags=re.MULTILINE)
        return re.sub(r"^-- INCLUDE (\w+)$", _included, text, flags=re.MULTILINE)

    @cached_property
    def text(self) -> str:
        """The unchanged content of the file."""
        return (_FOLDER / f"{self.file}.lua").read_text(encoding="utf-8")

    @cached_property
    def fixed_args(self) -> tuple[str, ...]:
        """The arguments before a last `name...`."""
        return tuple(name for name in self.args if not name.endswith("..."))

    def _keys_as_locals(self) -> str:
        return f"local {', '.join(('call', *self.keys))} = redis.call, unpack(KEYS){_by_mode(self.keys)}"

    def _args_as_locals(self) -> str:
        fixed, names, values = self.fixed_args, [*self.fixed_args], [f"unpack(ARGV, 1, {len(self.fixed_args)})"]
        if len(fixed) < len(self.args):
            names.insert(0, f"{self.args[-1].removesuffix('...')}_at")
            values.insert(0, str(len(fixed) + 1))
        return f"local {', '.join(names)} = {', '.join(values)}{_by_mode(fixed)}" if names else "--"

    @cached_property
    def only_reads(self) -> bool:
        """Whether the script is declared as read-only, so that the server does not let it write."""
        return "no-writes" in self.source.partition("\n")[0]

    @cached_property
    def commands(self) -> frozenset[str]:
        """Names of the Redis commands that the script may call.

        Each is the first word of a call, or of a table that is built for one.
        """
        return frozenset(re.findall(r"(?:call\(|\{) *'([A-Z_]+)'", self.source))

    @cached_property
    def sha(self) -> str:
        """The SHA-1 by which EVALSHA finds the script."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def _names(self) -> tuple[frozenset[str], frozenset[str]]:
        return frozenset(self.keys), frozenset(self.fixed_args)

    def order(self, keys: Mapping[str, str], args: Mapping[str, object], more: tuple[object, ...]) -> list[object]:
        """Return the KEYS, then the ARGV, in the order that the file expects.

        Raises TypeError for an unknown or missing name.
        """
        fixed = self.fixed_args
        if keys.keys() != self._names[0] or args.keys() != self._names[1]:
            wrong = set(keys) ^ set(self.keys) | set(args) ^ set(fixed)
            raise TypeError(f"{self.verb}.lua: keys or arguments missing or too many: {sorted(wrong)}")
        if more and len(fixed) == len(self.args):
            raise TypeError(f"{self.verb}.lua takes no further arguments")
        return [*(keys[name] for name in self.keys), *(args[name] for name in fixed), *more]


def _by_mode(names: Sequence[str]) -> str:
    """Return the Lua code `local x = {quick = x_quick, …}` for each name that there is for every mode."""
    first = MODES[0]
    kinds = [name.removesuffix(f"_{first}") for name in names if name.endswith(f"_{first}")]
    return "".join(
        f"; local {kind} = {{{', '.join(f'{mode} = {kind}_{mode}' for mode in MODES)}}}"
        for kind in kinds
        if all(f"{kind}_{mode}" in names for mode in MODES)
    )


def _included(line: re.Match[str]) -> str:
    """Return the code of an included file in one line, without comments. No string in it may contain `--`."""
    text = (_FOLDER / "include" / f"{line[1]}.lua").read_text(encoding="utf-8")
    return " ".join(code for row in text.splitlines() if (code := row.partition("--")[0].strip()))


def _script(file: str, keys: str, args: str, statuses: str) -> Script:
    return Script(file, tuple(keys.split()), tuple(args.split()), frozenset(statuses.split()))


def _each(kind: str) -> str:
    """Return the names of this kind of key of every mode."""
    return " ".join(f"{kind}_{mode}" for mode in MODES)


_WAITS = _each("waiting")
_QUEUES = f"{_each('pending')} {_each('running')}"
_SLOTS = f"leases free leased {_QUEUES}"
_ENDS = f"finished events {_each('deferred')}"

SUBMIT = _script(
    "runs/submit",
    f"run pending {_WAITS} surplus seq events job deferred rq_queues networks questions asked_snapshots"
    " queued_questions",
    "id mode bench unlisted user line_max waiting_max wait_code wait_reason events_max"
    " origin queue_key data created_at document snapshot size asked...",
    "created exists conflict no-network too-many",
)
LEAD = _script(
    "bench/lead",
    "leader epoch events free leased fence dispatchers status leases hosts",
    "dispatcher bench lock_ms longest_ms events_max lane_first lane_last version",
    "taken renewed led",
)
RESIGN = _script("bench/resign", "leader events", "dispatcher bench events_max", "resigned not-leader")
AGREE = _script("bench/agree", "layout workers leader", "ours alive_ms worker_prefix", "agreed newer mixed")
PROMOTE = _script(
    "runs/promote",
    f"leader events leases free leased fence workers {_QUEUES} {_each('deferred')} paused seq {_WAITS} drained"
    " queued_questions",
    "epoch bench begin_ms alive_ms quick_max line_max events_max enqueued_at surplus_prefix"
    " run_prefix lane_prefix worker_prefix job_prefix queue_prefix choices...",
    "outcomes stale-epoch paused",
)
BEGIN = _script(
    "runs/begin",
    "run leases workers events",
    "id worker asked_queue host lease_ms events_max worker_prefix lane_prefix",
    "begun missing not-promoted elsewhere taken",
)
RENEW = _script("runs/renew", "run leases workers", "id token lease_ms", "renewed cancelling lost")
FINISH = _script(
    "runs/finish",
    f"run result leases free leased {_each('running')} finished events workers job hits",
    "id token outcome verdict stopped_by error document events_max worker_prefix lane_prefix hits_keep_ms hits...",
    "accepted refused",
)
CANCEL = _script(
    "runs/cancel",
    f"run {_SLOTS} {_ENDS} seq {_WAITS} queued_questions",
    "id by line_max events_max surplus_prefix run_prefix worker_prefix lane_prefix job_prefix queue_prefix",
    "cancelled cancelling ended missing",
)
REAP = _script(
    "runs/reap",
    f"leader {_SLOTS} {_ENDS} {_WAITS} fence queued_questions",
    "epoch now_ms id token why counts fence_seen attempts_max events_max"
    f" run_prefix worker_prefix lane_prefix job_prefix queue_prefix {_each('origin')}",
    "reaped stale-epoch refused",
)
SETTLE = _script(
    "runs/settle",
    "pending waiting seq queued_questions",
    "mode from at_most line_max line_limit wait_code wait_reason run_prefix surplus_prefix",
    "settled more",
)
SET_ASIDE = _script(
    "runs/set_aside",
    f"leader {_SLOTS.replace('leases', 'leases hosts')} {_ENDS} {_WAITS} workers damaged",
    "epoch id field value what needed bench lease_ms keep_ms notes_max events_max"
    " surplus_prefix run_prefix worker_prefix lane_prefix job_prefix queue_prefix aside_prefix",
    "set-aside released held sound changed stale-epoch",
)
PLACE = _script(
    "runs/place",
    f"leader {_SLOTS} finished {_each('deferred')}",
    "epoch id lease_ms behind_own surplus_prefix run_prefix worker_prefix lane_prefix job_prefix",
    "sound placed conflict stale-epoch",
)
TIDY = _script(
    "runs/tidy",
    "leader leases hosts free leased workers status",
    "epoch host lane_first lane_last run_prefix worker_prefix lane_prefix",
    "tidied stale-epoch",
)
MOVE_AWAY = _script(
    "redis/move_away", "found aside damaged events", "kind seed bench keep_ms notes_max events_max", "moved sound"
)
TRIM = _script(
    "runs/trim",
    "finished",
    "keep at_most run_prefix result_suffix log_suffix questions_suffix rq_prefixes...",
    "trimmed",
)
ANNOUNCE = _script(
    "bench/announce",
    "workers worker rq_queues events hosts free leased",
    "name queue mode pid host host_name lane_first lane_last bench alive_ms forget_ms events_max queue_key"
    " worker_prefix dead listens version",
    "new known taken",
)
WITHDRAW = _script("bench/withdraw", "workers events", "name bench events_max worker_prefix", "withdrawn unknown")
EXPLAIN = _script("runs/explain", "events", "bench events_max run_prefix reasons...", "changed")
PROGRESS = _script("runs/progress", "run log events", "id token phase percent message log_max events_max", "noted lost")
REPORT = _script("bench/report", "status events", "bench digest silent_ms events_max fields...", "changed same")
VIEW = _script(
    "runs/view",
    f"workers leases {_QUEUES} paused {_WAITS} status drained",
    "window alive_ms run_prefix worker_prefix",
    "view",
)

ADD_CHANGE = _script(
    "changes/add_change",
    "change changes events networks",
    "id bench unlisted user keep events_max change_prefix fields...",
    "added exists no-network",
)
REMOVE_CHANGE = _script("changes/remove_change", "change changes events", "id bench by events_max", "removed missing")
SET_FLOWS = _script(
    "changes/set_flows", "flows events networks", "bench unlisted by rows events_max", "stored no-network"
)
PAUSE = _script("bench/pause", "paused events", "bench by why events_max", "paused already")
RESUME = _script("bench/resume", "paused events", "bench by events_max", "resumed not-paused")
DRAIN = _script("bench/drain", "drained events", "host by why bench events_max", "drained already")
UNDRAIN = _script("bench/undrain", "drained events", "host by bench events_max", "resumed not-drained")
RESTART = _script("bench/restart", "restart events", "bench by lapse_ms events_max", "requested already")
TAKE_RESTART = _script("bench/take_restart", "restart", "lapse_ms", "taken none")
SEARCH = _script(
    "runs/search",
    f"{_QUEUES} finished {_WAITS}",
    "part after at_most skip limit run_prefix surplus_prefix source destination user verdict state mode bench"
    " id_start words...",
    "found",
)
KEEP = _script(
    "snapshots/keep",
    "snapshot contents snapshots unchecked file_uses events networks",
    "facts bench unlisted by digest events_max file_prefix fields files...",
    "stored known lacking conflict no-network",
)
SETTLE_CHECK = _script(
    "snapshots/settle_check",
    "snapshot unchecked current events",
    "facts bench outcome host problems warnings first_start events_max",
    "settled missing",
)
USE = _script(
    "snapshots/use",
    "snapshot snapshots current events",
    "facts bench by events_max",
    "used same missing not-ready",
)
PIN = _script("snapshots/pin", "snapshot events", "facts bench by why events_max", "pinned missing")
UNPIN = _script("snapshots/unpin", "snapshot events", "facts bench by events_max", "unpinned not-pinned missing")
DROP = _script(
    "snapshots/drop",
    "snapshot contents snapshots unchecked current file_uses events",
    "facts bench by events_max file_prefix",
    "dropped missing current pinned",
)
ADD_NETWORK = _script("networks/add", "networks events", "bench by networks_max events_max", "added known too-many")
REMOVE_NETWORK = _script(
    "networks/remove",
    f"networks events {_QUEUES} current",
    "bench by events_max",
    "removed missing busy",
)
NOTE = _script("people/note", "events", "kind by events_max fields...", "noted")
ADD_USER = _script(
    "people/add_user",
    "user users events store_id",
    "name role password by first fresh_id events_max",
    "enrolled exists not-first",
)
UPDATE_USER = _script(
    "people/update_user",
    "user users sessions events",
    "name role password by keep events_max user_prefix session_prefix",
    "amended same last-admin missing",
)
REMOVE_USER = _script(
    "people/remove_user",
    "user users sessions tokens events",
    "name by events_max user_prefix session_prefix token_prefix",
    "expelled last-admin missing",
)
START_SESSION = _script(
    "people/start_session",
    "user session sessions events",
    "name hash csrf via address agent verified renewed idle_ms max_ms sessions_max events_max session_prefix",
    "admitted changed missing",
)
FIND_SESSION = _script("people/find_session", "session", "idle_ms max_ms user_prefix", "recognised unknown")
END_SESSION = _script("people/end_session", "session events", "hash by events_max sessions_prefix", "dismissed missing")
ADD_TOKEN = _script(
    "people/add_token",
    "user token tokens events",
    "hash id owner name by tokens_max events_max",
    "granted missing too-many",
)
FIND_TOKEN = _script("people/find_token", "token", "user_prefix", "vouched unknown")
REVOKE_TOKEN = _script("people/revoke_token", "token tokens events", "hash by events_max", "revoked missing")
TOUCH = _script("people/touch", "record user", "field idle_ms max_ms", "touched gone")
COUNT_LOGIN_ATTEMPT = _script("people/count_login_attempt", "name address", "name_max address_max window_ms", "ok wait")
RESET_LOGIN_ATTEMPTS = _script("people/reset_login_attempts", "name address", "", "forgiven")
UNCOUNT_LOGIN_ATTEMPT = _script("people/uncount_login_attempt", "name address", "", "retracted")
PROBE = _script("redis/probe", "", "", "accepted")
MARK = _script("redis/mark", "users store_id", "fresh", "marked no-users")

SCRIPTS: tuple[Script, ...] = (
    *(SUBMIT, LEAD, RESIGN, AGREE, PROMOTE, BEGIN, RENEW, FINISH, CANCEL, REAP, SETTLE),
    *(SET_ASIDE, PLACE, TIDY, MOVE_AWAY),
    *(TRIM, ANNOUNCE, WITHDRAW, EXPLAIN, PROGRESS, REPORT, VIEW),
    *(PAUSE, RESUME, DRAIN, UNDRAIN, RESTART, TAKE_RESTART, SEARCH, NOTE),
    *(
        ADD_USER,
        UPDATE_USER,
        REMOVE_USER,
        START_SESSION,
        FIND_SESSION,
        END_SESSION,
        ADD_TOKEN,
        FIND_TOKEN,
        REVOKE_TOKEN,
        TOUCH,
        COUNT_LOGIN_ATTEMPT,
        RESET_LOGIN_ATTEMPTS,
        UNCOUNT_LOGIN_ATTEMPT,
    ),
    *(KEEP, SETTLE_CHECK, USE, PIN, UNPIN, DROP),
    *(ADD_NETWORK, REMOVE_NETWORK, ADD_CHANGE, REMOVE_CHANGE, SET_FLOWS),
    *(PROBE, MARK),
)
