"""The audit trail: who did what. It is written to the event stream, and read from it newest first."""

from __future__ import annotations

import re
from collections.abc import Collection

from ledger import events
from ledger.errors import BadInput
from ledger.events import Event, Kind
from ledger.redis import keys
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import NOTE

VALUE_MAX = 200
"""Maximum stored length of each value, in characters.

It is limited because some values come from clients that are not signed in.
"""
PAGE = 500
LOOKED_AT_MAX = 20_000
"""Maximum number of events examined for one page, so that a rare filter does not read millions of events at once."""
_ID = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")


class AuditTrail(LedgerPart):
    """Writes and reads the audit trail.

    The stream keeps the newest `events_max` events. To keep older ones, export them before they are deleted.
    """

    def note(self, kind: str, by: str, **fields: str) -> None:
        """Append an event that concerns neither a run nor a bench. Also works when the store is full.

        `kind` is one of AUDIT, and `by` is the user. Values are truncated to VALUE_MAX characters.
        """
        words = tuple(word[:VALUE_MAX] for pair in fields.items() for word in map(str, pair))
        args = {"kind": str(Kind(kind)), "by": by[:VALUE_MAX], **self._capped}
        self.connection.run(NOTE, {"events": keys.EVENTS}, args, words)

    def audit(
        self,
        *,
        before: str = "+",
        kinds: Collection[str] | None = None,
        user: str = "",
        run: str = "",
        limit: int = 100,
    ) -> tuple[list[Event], str]:
        """Return up to `limit` events older than `before` (`+`: all), newest first, and the next call's `before`.

        The filter `kinds` selects events of these kinds, `user` selects events that this user caused or that are about
        one of the user's runs, and `run` is a prefix of a run id. The second value is "" at the end of the stream. A
        page may be short or even empty although more events follow, because one call examines at most LOOKED_AT_MAX
        events. Raises BadInput if `before` is not a valid event id.
        """
        if before != "+" and not _ID.fullmatch(before):
            raise BadInput("before", before, "is not a valid event id, such as 1763900000000-0")
        matches: list[Event] = []
        for _ in range(0, LOOKED_AT_MAX, PAGE):
            page = events.read_back(self.connection, before, count=PAGE)
            for event in page:
                before = event.id
                if _fits(event, kinds, user, run):
                    matches.append(event)
                    if len(matches) == limit:
                        return matches, before
            if len(page) < PAGE:
                return matches, ""
        return matches, before


def _fits(event: Event, kinds: Collection[str] | None, user: str, run: str) -> bool:
    return (
        (kinds is None or event.kind in kinds)
        and (not user or user in (event.fields.get("user"), event.fields.get("by")))
        and event.run_id.startswith(run)
    )
