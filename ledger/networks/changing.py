"""Adds and removes networks."""

from __future__ import annotations

from contextlib import suppress

from ledger.changes.storing import Changes
from ledger.errors import BadInput, ChangeNotFound, NetworkInUse, NetworkNotFound, SnapshotNotFound, StoreRefused
from ledger.networks.listing import NetworkReading
from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.keys import NO_BENCH, is_bench
from ledger.redis.scripts import REMOVE_NETWORK
from ledger.snapshots.pushing import SnapshotPushing
from ledger.snapshots.records import is_facts


class NetworkChanges(SnapshotPushing, NetworkReading, Changes):
    """Adds and removes networks. Each change is one script and adds an event."""

    def add_network(self, name: str, *, by: str) -> bool:
        """Add a network without a snapshot. Return False if it was there before.

        Raises BadInput, TooManyNetworks, or StoreRefused if the rules of the Redis user do not cover the network.
        """
        if not is_bench(name):
            raise BadInput(
                "network", name, "is not a valid name: use 1-31 of a-z, 0-9 and dash, and begin with a letter"
            )
        if name in NO_BENCH or is_facts(name.rpartition("-")[2]):
            raise BadInput(
                "network", name, "is reserved by reachq: choose another name, that does not end in a facts hash"
            )
        self._require_rights(name)
        return self._add(name, by)

    def _require_rights(self, name: str) -> None:
        """Raise StoreRefused if the rules of the Redis user do not cover a network: no process could serve it."""
        try:
            with self.connection.reading() as pipe:
                pipe.get(keys.Keys(name).current)
                answers(pipe)
        except StoreRefused as refused:
            covered = " ".join(f"--network {one}" for one in (*self._own_first(), name))
            raise StoreRefused(
                f"The rules of the Redis user of REACHQ_REDIS_URL do not cover the network {name}, so it is not added:"
                f" print them with `reachq redis acl {covered}`, load them with ACL LOAD, and add the network again."
            ) from refused

    def _own_first(self) -> list[str]:
        """Return the names of all networks. That of the settings is the first: the users are named after it."""
        own = self.settings.own_network
        return [own, *(name for name in self.network_names() if name != own)]

    def remove_network(self, name: str, *, by: str) -> None:
        """Remove a network and its snapshots. Its finished runs are kept.

        Raises NetworkNotFound, or NetworkInUse if a run waits or is being tested, or if it is the network of the settings.
        """
        if name == self.settings.own_network:
            raise NetworkInUse(f"Network {name} is the one in REACHQ_NETWORK_NAME, so it is kept.")
        its = self.of_network(name)
        status, *rest = self.connection.run(
            REMOVE_NETWORK,
            {
                "networks": keys.NETWORKS,
                "events": keys.EVENTS,
                **its._queue_keys,
                "current": its.keys.current,
            },
            {"bench": name, "by": by, **self._capped},
        )
        if status == "missing":
            raise NetworkNotFound(f"There is no network {name}.")
        if status == "busy":
            raise NetworkInUse(
                f"Network {name} has runs that wait or are tested ({rest[0]}): wait until they end, or cancel them first."
            )
        for change_id in its.change_ids():
            with suppress(ChangeNotFound):  # another process removed it in the meantime
                its.remove_change(change_id, by=by)
        its.set_management_flows("", by=by)
        for snapshot in its.snapshots(limit=100_000):
            try:
                its.unpin_snapshot(snapshot.facts, by=by)
                its.remove_snapshot(snapshot.facts, by=by)
            except SnapshotNotFound:
                continue
