"""Reads which networks the installation has. Hosts and dispatchers serve all of them."""

from __future__ import annotations

from typing import Self

from ledger.errors import NetworkNotFound, TooManyNetworks
from ledger.networks.records import NETWORKS_MAX, Network
from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.keys import Keys
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import ADD_NETWORK


class NetworkReading(LedgerPart):
    """Reads the networks of the installation."""

    def network_names(self) -> list[str]:
        """Return the names of all networks, sorted. That of the settings is one, even before it was added."""
        names = self.connection.lenient(lambda pipe: pipe.zrange(keys.NETWORKS, 0, -1)) or []
        return sorted({*map(str, names), self.settings.own_network})

    def networks(self) -> list[Network]:
        """Return all networks, sorted by name."""
        with self.connection.reading() as pipe:
            pipe.zrange(keys.NETWORKS, 0, -1, withscores=True)
            (listed,) = answers(pipe)
        created = {str(name): int(score) for name, score in listed or ()}
        names = sorted({*created, self.settings.own_network})
        with self.connection.reading() as pipe:
            for name in names:
                pipe.get(Keys(name).current)
            current = answers(pipe)
        pairs = zip(names, current, strict=True)
        return [Network(name, created.get(name, 0), str(facts or "")) for name, facts in pairs]

    def of_network(self, name: str) -> Self:
        """Return this ledger for a network, with the same connection. Raises NetworkNotFound."""
        if name == self.bench:
            return self
        known = self.network_names()
        if name not in known:
            raise NetworkNotFound(
                f"There is no network {name[:40]}. Choose one of {', '.join(known)}, or add it with"
                f" `reachq network add {name[:40]}`."
            )
        return type(self)(self.connection, self.settings.for_network(name))

    def add_own_network(self, *, by: str) -> None:
        """Add the network of the settings, unless it was added before. Raises TooManyNetworks."""
        self._add(self.settings.own_network, by)

    def _add(self, name: str, by: str) -> bool:
        """Add a network. Return False if it was added before."""
        status, *rest = self.connection.run(
            ADD_NETWORK,
            {"networks": keys.NETWORKS, "events": keys.EVENTS},
            {"bench": name, "by": by, "networks_max": NETWORKS_MAX, **self._capped},
        )
        if status == "too-many":
            raise TooManyNetworks(f"There are {rest[0]} networks, and {NETWORKS_MAX} are allowed; remove one first.")
        return bool(status == "added")
