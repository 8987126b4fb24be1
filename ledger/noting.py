"""What happened that is no change of a run or a user, and is worth a line in the audit trail all the same."""

from __future__ import annotations

from typing import Any

from ledger import keys
from ledger.connect import translated
from ledger.events import Kind
from ledger.role import Role


class Noting(Role):
    """Audit events of those who change nothing."""

    def note(self, kind: str, by: str, **fields: str) -> None:
        """Append an event of this kind to the stream; `by` is who did it, "" when nobody known."""
        entry: dict[Any, Any] = {"kind": str(Kind(kind)), "by": by, **fields}
        with translated():
            self.connection.client.xadd(keys.EVENTS, entry, maxlen=self.settings.events_max, approximate=True)
