"""The audit trail: who did what, written into the event stream and read back from it, newest first."""

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
"""Characters kept of each value: some come from people who are not signed in."""
PAGE = 500
LOOKED_AT_MAX = 20_000
"""Events looked at for one page: a filter that seldom fits must not walk a stream of millions in one go."""
_ID = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")


class AuditTrail(LedgerPart):
    """The stream is capped at `events_max`; what is to be kept longer is exported in time."""

    def note(self, kind: str, by: str, **fields: str) -> None:
        """Append an event that is about no run and no bench: `kind`: an events.Kind, of those in AUDIT; `by`: who.

        Values are cut at VALUE_MAX characters. A full store takes it all the same.
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
        """Events older than `before` (`+`: all there are), newest first, at most `limit`; and where to go on.

        `kinds`: only these; `user`: done by them, or about a run of theirs; `run`: about a run whose id starts so. The
        second value is the next call's `before`, "" at the end of the stream; a page may be short, even empty, and yet
        there may be more, since one call looks at LOOKED_AT_MAX events at most. BadInput for a `before` that is no id
        of an event.
        """
        if before != "+" and not _ID.fullmatch(before):
            raise BadInput("before", before, "is not a valid event id, such as 1763900000000-0")
        found: list[Event] = []
        for _ in range(0, LOOKED_AT_MAX, PAGE):
            page = events.read_back(self.connection, before, count=PAGE)
            for event in page:
                before = event.id
                if _fits(event, kinds, user, run):
                    found.append(event)
                    if len(found) == limit:
                        return found, before
            if len(page) < PAGE:
                return found, ""
        return found, before


def _fits(event: Event, kinds: Collection[str] | None, user: str, run: str) -> bool:
    return (
        (kinds is None or event.kind in kinds)
        and (not user or user in (event.fields.get("user"), event.fields.get("by")))
        and event.run_id.startswith(run)
    )
