"""The base class of all parts of the ledger: connection, settings and the key names of one bench."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from ledger.errors import HostNotFound, NetworkNotFound
from ledger.redis import keys, rq_layout
from ledger.redis.connection import Connection
from ledger.redis.keys import Keys
from ledger.settings import Settings


class LedgerPart:
    """One part of the ledger, for one bench. `ledger.store.Ledger` combines all parts."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.settings = settings
        self.bench = settings.bench
        self.keys = Keys(settings.bench)

    def used_hosts(self) -> list[str]:
        """Return the names of the hosts that have had workers, as `host_names` does, but `local` only if it is one of them.

        It is the only one while no host has had workers.
        """
        names = self.connection.lenient(lambda pipe: pipe.zrange(self.keys.hosts, 0, -1)) or ()
        found = sorted({str(name) for name in names if keys.is_host(name)}, key=lambda name: (name != keys.LOCAL, name))
        return found or [keys.LOCAL]

    def host_names(self) -> list[str]:
        """Return the names of the hosts that have had workers, sorted, `local` first. It is one even without any."""
        return [keys.LOCAL, *(name for name in self.used_hosts() if name != keys.LOCAL)]

    @cached_property
    def _slot_keys(self) -> dict[str, str]:
        """The KEYS that make up a slot."""
        return {
            "leases": self.keys.leases,
            "free": self.keys.free,
            "leased": self.keys.leased,
            **self._queue_keys,
        }

    @cached_property
    def _queue_keys(self) -> dict[str, str]:
        """The KEYS of the lines and of the runs that hold a slot."""
        lines = {f"pending_{mode}": self.keys.pending[mode] for mode in keys.MODES}
        return lines | self._running_keys

    @cached_property
    def _running_keys(self) -> dict[str, str]:
        return {f"running_{mode}": self.keys.running[mode] for mode in keys.MODES}

    @cached_property
    def _end_keys(self) -> dict[str, str]:
        """The KEYS of the places to which a run may move when it leaves its slot."""
        return {"finished": keys.FINISHED, "events": keys.EVENTS, **self._deferred_keys}

    @cached_property
    def _count_keys(self) -> dict[str, str]:
        """The KEYS of the counts of waiting runs and of their questions."""
        return {**self._waiting_keys, "queued_questions": self.keys.queued_questions}

    @cached_property
    def _waiting_keys(self) -> dict[str, str]:
        """The KEYS of the counts of waiting runs."""
        return {f"waiting_{mode}": self.keys.waiting[mode] for mode in keys.MODES}

    @cached_property
    def _deferred_keys(self) -> dict[str, str]:
        return {f"deferred_{mode}": rq_layout.deferred(self.bench, mode) for mode in keys.MODES}

    def _prefixes(self, *which: str) -> dict[str, object]:
        """Return the ARGV with the prefixes of keys whose ids a script learns only while it runs."""
        return {name: self._every_prefix[name] for name in which}

    @cached_property
    def _every_prefix(self) -> dict[str, object]:
        return {
            "run_prefix": keys.RUN,
            "lane_prefix": self.keys.lane_prefix,
            "worker_prefix": self.keys.worker_prefix,
            "surplus_prefix": self.keys.surplus_prefix,
            "job_prefix": rq_layout.JOB,
            "queue_prefix": rq_layout.QUEUE,
        }

    @cached_property
    def _its_network(self) -> dict[str, object]:
        """The ARGV with the network, and whether it needs no entry in the list of networks."""
        return {"bench": self.bench, "unlisted": "1" if self.bench == self.settings.own_network else ""}

    def _only_bench(self) -> str:
        """Return the bench to which lists of ended runs are limited, or "" if the installation has only one network."""
        names = self.connection.lenient(lambda pipe: pipe.zrange(keys.NETWORKS, 0, -1)) or ()
        return self.bench if {*names, self.settings.own_network} != {self.bench} else ""

    def _no_host(self, known: Iterable[str]) -> HostNotFound:
        return HostNotFound(f"No host has this name. The hosts are: {', '.join(known)}.")

    def _no_network(self) -> NetworkNotFound:
        return NetworkNotFound(f"There is no network {self.bench}: it was removed.")

    @cached_property
    def _capped(self) -> dict[str, object]:
        """The ARGV with the maximum length of the event stream."""
        return {"events_max": self.settings.events_max}
