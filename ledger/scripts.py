"""The Lua scripts as typed operations: what each takes and may answer, loaded from `ledger/lua/`, one verb a file.

A `Script` here and the header of its file say the same; a test compares them. Every reply is a list whose first
member is a named status.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_FOLDER = Path(__file__).with_name("lua")


@dataclass(frozen=True)
class Script:
    """One verb: names of its KEYS and ARGV in order (`name...`: any number more), and its statuses."""

    verb: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    statuses: frozenset[str]

    @cached_property
    def source(self) -> str:
        """The Lua text."""
        return (_FOLDER / f"{self.verb}.lua").read_text(encoding="utf-8")

    @cached_property
    def only_reads(self) -> bool:
        """Whether the server itself lets it write nothing."""
        return "no-writes" in self.source.partition("\n")[0]

    @cached_property
    def commands(self) -> frozenset[str]:
        """Names of the Redis commands it may call: the first word of a call, or of a table made for one."""
        return frozenset(re.findall(r"(?:call\(|\{) *'([A-Z_]+)'", self.source))

    @cached_property
    def sha(self) -> str:
        """What EVALSHA knows it by."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def order(self, keys: Mapping[str, str], args: Mapping[str, object], more: tuple[object, ...]) -> list[object]:
        """KEYS then ARGV in the order the file expects; a name too many or too few is a programming error."""
        fixed = tuple(name for name in self.args if not name.endswith("..."))
        if set(keys) != set(self.keys) or set(args) != set(fixed):
            wrong = set(keys) ^ set(self.keys) | set(args) ^ set(fixed)
            raise TypeError(f"{self.verb}.lua: keys or arguments missing or too many: {sorted(wrong)}")
        if more and len(fixed) == len(self.args):
            raise TypeError(f"{self.verb}.lua takes no further arguments")
        return [*(keys[name] for name in self.keys), *(args[name] for name in fixed), *more]


def _script(verb: str, keys: str, args: str, statuses: str) -> Script:
    return Script(verb, tuple(keys.split()), tuple(args.split()), frozenset(statuses.split()))


_WAITS = "waiting_quick waiting_detailed"
_SLOTS = "leases free leased pending_quick pending_detailed running_quick running_detailed"
_ENDS = "finished events deferred_quick deferred_detailed"

SUBMIT = _script(
    "submit",
    f"run pending {_WAITS} surplus seq events job deferred rq_queues",
    "id mode bench user line_max waiting_max wait_code wait_reason events_max origin queue_key data created_at asked...",
    "created exists conflict too-many",
)
LEAD = _script(
    "lead",
    "leader epoch events free leased fence dispatchers status leases",
    "dispatcher bench lock_ms longest_ms events_max lane_first lane_last",
    "taken renewed led",
)
RESIGN = _script("resign", "leader events", "dispatcher bench events_max", "resigned not-leader")
PROMOTE = _script(
    "promote",
    "leader events leases free leased fence workers pending_quick pending_detailed running_quick"
    f" running_detailed deferred_quick deferred_detailed paused seq {_WAITS}",
    "epoch bench begin_ms alive_ms quick_max line_max events_max enqueued_at surplus_prefix"
    " run_prefix lane_prefix worker_prefix job_prefix queue_prefix choices...",
    "outcomes stale-epoch paused",
)
BEGIN = _script(
    "begin",
    "run leases workers events",
    "id worker queue lease_ms events_max worker_prefix lane_prefix",
    "begun missing not-promoted elsewhere taken",
)
RENEW = _script("renew", "run leases workers", "id token lease_ms", "renewed cancelling lost")
FINISH = _script(
    "finish",
    "run result leases free leased running_quick running_detailed finished events workers job hits",
    "id token outcome verdict stopped_by error document events_max worker_prefix lane_prefix hits_keep_ms hits...",
    "accepted refused",
)
CANCEL = _script(
    "cancel",
    f"run {_SLOTS} {_ENDS} seq {_WAITS}",
    "id by line_max events_max surplus_prefix run_prefix worker_prefix lane_prefix job_prefix queue_prefix",
    "cancelled cancelling ended missing",
)
REAP = _script(
    "reap",
    f"leader {_SLOTS} {_ENDS} {_WAITS} fence",
    "epoch now_ms id token why counts fence_seen attempts_max events_max"
    " run_prefix worker_prefix lane_prefix job_prefix queue_prefix origin_quick origin_detailed",
    "reaped stale-epoch refused",
)
SETTLE = _script(
    "settle",
    "pending waiting seq",
    "from at_most line_max line_limit wait_code wait_reason run_prefix surplus_prefix",
    "settled more",
)
SET_ASIDE = _script(
    "set_aside",
    f"leader {_SLOTS} {_ENDS} {_WAITS} workers damaged",
    "epoch id field value what needed bench lease_ms keep_ms notes_max events_max"
    " surplus_prefix run_prefix worker_prefix lane_prefix job_prefix queue_prefix aside_prefix",
    "set-aside released held sound changed stale-epoch",
)
PLACE = _script(
    "place",
    f"leader {_SLOTS} finished deferred_quick deferred_detailed",
    "epoch id lease_ms behind_own surplus_prefix run_prefix worker_prefix lane_prefix job_prefix",
    "sound placed conflict stale-epoch",
)
TIDY = _script(
    "tidy",
    "leader leases free leased workers",
    "epoch lane_first lane_last run_prefix worker_prefix lane_prefix",
    "tidied stale-epoch",
)
MOVE_AWAY = _script(
    "move_away", "found aside damaged events", "type seed bench keep_ms notes_max events_max", "moved sound"
)
TRIM = _script("trim", "finished", "keep at_most run_prefix result_suffix log_suffix rq_prefixes...", "trimmed")
ANNOUNCE = _script(
    "announce",
    "workers worker rq_queues events",
    "name queue mode pid host bench alive_ms forget_ms events_max queue_key worker_prefix dead listens",
    "new known taken",
)
WITHDRAW = _script("withdraw", "workers events", "name bench events_max worker_prefix", "withdrawn unknown")
EXPLAIN = _script("explain", "events", "bench events_max run_prefix reasons...", "changed")
PROGRESS = _script("progress", "run log events", "id token phase percent message log_max events_max", "noted lost")
REPORT = _script("report", "status events", "bench digest silent_ms events_max fields...", "changed same")
VIEW = _script(
    "view",
    f"workers leases pending_quick pending_detailed running_quick running_detailed paused {_WAITS} status",
    "window alive_ms run_prefix worker_prefix",
    "view",
)

PAUSE = _script("pause", "paused events", "bench by why events_max", "paused already")
RESUME = _script("resume", "paused events", "bench by events_max", "resumed not-paused")
RESTART = _script("restart", "restart events", "bench by lapse_ms events_max", "requested already")
TAKE_RESTART = _script("take_restart", "restart", "lapse_ms", "taken none")
SEARCH = _script(
    "search",
    f"pending_quick pending_detailed running_quick running_detailed finished {_WAITS}",
    "part after at_most skip limit run_prefix surplus_prefix source destination user verdict state mode words...",
    "found",
)
NOTE = _script("note", "events", "kind by events_max fields...", "noted")
ENROLL = _script(
    "enroll",
    "user users events store_id",
    "name role password by first fresh_id events_max",
    "enrolled exists not-first",
)
AMEND = _script(
    "amend",
    "user users sessions events",
    "name role password by keep events_max user_prefix session_prefix",
    "amended same last-admin missing",
)
EXPEL = _script(
    "expel",
    "user users sessions tokens events",
    "name by events_max user_prefix session_prefix token_prefix",
    "expelled last-admin missing",
)
ADMIT = _script(
    "admit",
    "user session sessions events",
    "name hash csrf via address agent verified renewed idle_ms max_ms sessions_max events_max session_prefix",
    "admitted changed missing",
)
RECOGNISE = _script("recognise", "session", "idle_ms max_ms user_prefix", "recognised unknown")
DISMISS = _script("dismiss", "session events", "hash by events_max sessions_prefix", "dismissed missing")
GRANT = _script(
    "grant", "user token tokens events", "hash id owner name by tokens_max events_max", "granted missing too-many"
)
VOUCH = _script("vouch", "token", "user_prefix", "vouched unknown")
REVOKE = _script("revoke", "token tokens events", "hash by events_max", "revoked missing")
TOUCH = _script("touch", "record user", "field idle_ms max_ms", "touched gone")
ATTEMPT = _script("attempt", "name address", "name_max address_max window_ms", "ok wait")
FORGIVE = _script("forgive", "name address", "", "forgiven")
RETRACT = _script("retract", "name address", "", "retracted")
PROBE = _script("probe", "", "", "accepted")
MARK = _script("mark", "users store_id", "fresh", "marked no-users")

SCRIPTS: tuple[Script, ...] = (
    *(SUBMIT, LEAD, RESIGN, PROMOTE, BEGIN, RENEW, FINISH, CANCEL, REAP, SETTLE),
    *(SET_ASIDE, PLACE, TIDY, MOVE_AWAY),
    *(TRIM, ANNOUNCE, WITHDRAW, EXPLAIN, PROGRESS, REPORT, VIEW),
    *(PAUSE, RESUME, RESTART, TAKE_RESTART, SEARCH, NOTE),
    *(ENROLL, AMEND, EXPEL, ADMIT, RECOGNISE, DISMISS, GRANT, VOUCH, REVOKE, TOUCH, ATTEMPT, FORGIVE, RETRACT),
    *(PROBE, MARK),
)
