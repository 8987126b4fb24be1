"""Stores, lists and removes comparisons of snapshots, and the management flows that each of them asks."""

from __future__ import annotations

from dataclasses import replace

from ledger.changes.records import KEPT, Change, decode, record_of
from ledger.errors import ChangeNotFound
from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import ADD_CHANGE, REMOVE_CHANGE, SET_FLOWS


class Changes(LedgerPart):
    """The comparisons of one network."""

    def add_change(self, change: Change) -> Change:
        """Store a comparison, and return it with its time. Raises NetworkNotFound, or StoreFull if nothing was stored."""
        status, *created = self.connection.run(
            ADD_CHANGE,
            {
                "change": self.keys.change_prefix + change.id,
                "changes": self.keys.changes,
                "events": keys.EVENTS,
                "networks": keys.NETWORKS,
            },
            {
                "id": change.id,
                **self._its_network,
                "user": change.user,
                "keep": KEPT,
                "change_prefix": self.keys.change_prefix,
                **self._capped,
            },
            tuple(word for pair in record_of(change).items() for word in pair),
        )
        if status == "no-network":
            raise self._no_network()
        return replace(change, created_ms=int(created[0])) if created else self.change(change.id)

    def change(self, change_id: str) -> Change:
        """Return a comparison. Raises ChangeNotFound."""
        record = self.connection.lenient(lambda pipe: pipe.hgetall(self.keys.change_prefix + change_id))
        found = decode(change_id, record or {})
        if found is None:
            raise ChangeNotFound(f"There is no comparison {change_id[:40]} in network {self.bench}.")
        return found

    def changes(self, *, limit: int = 50) -> list[Change]:
        """Return the comparisons of the network, newest first."""
        ids = self.change_ids(limit=limit)
        with self.connection.reading() as pipe:
            for change_id in ids:
                pipe.hgetall(self.keys.change_prefix + change_id)
            records = answers(pipe)
        found = (decode(change_id, record or {}) for change_id, record in zip(ids, records, strict=True))
        return [change for change in found if change]

    def change_ids(self, *, limit: int = KEPT) -> list[str]:
        """Return the ids of the comparisons of the network, newest first, with those of damaged ones."""
        ids = self.connection.lenient(lambda pipe: pipe.zrevrange(self.keys.changes, 0, limit - 1)) or []
        return [str(change_id) for change_id in ids]

    def remove_change(self, change_id: str, *, by: str) -> None:
        """Forget a comparison, even a damaged one. Its runs stay in the history. Raises ChangeNotFound."""
        status = self.connection.run(
            REMOVE_CHANGE,
            {"change": self.keys.change_prefix + change_id, "changes": self.keys.changes, "events": keys.EVENTS},
            {"id": change_id, "bench": self.bench, "by": by, **self._capped},
        )[0]
        if status == "missing":
            raise ChangeNotFound(f"There is no comparison {change_id[:40]} in network {self.bench}.")

    def management_flows(self) -> str:
        """Return the rows of the questions that every comparison of the network asks and guards; "" if there are none."""
        return str(self.connection.lenient(lambda pipe: pipe.get(self.keys.flows)) or "")

    def set_management_flows(self, rows: str, *, by: str) -> None:
        """Store these rows, or remove them if there are none. The caller has checked them. Raises NetworkNotFound."""
        status = self.connection.run(
            SET_FLOWS,
            {"flows": self.keys.flows, "events": keys.EVENTS, "networks": keys.NETWORKS},
            {**self._its_network, "by": by, "rows": rows if rows.strip() else "", **self._capped},
        )[0]
        if status == "no-network":
            raise self._no_network()
