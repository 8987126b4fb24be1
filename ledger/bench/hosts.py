"""The hosts of the installation: what each one has, and whether it is drained for maintenance."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from ledger.bench.diagnosis import BENCH_SILENT_MS, fresh
from ledger.bench.processes import Processes
from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.keys import of_host
from ledger.runs.records import Pause
from ledger.runs.run import Mode


@dataclass(frozen=True, slots=True)
class HostState:
    """One host, as its workers and the report of its bench show it.

    `machines` has the machines' own names: more than one means that machines share the name by mistake. `workers` is the
    number of live workers of each mode. `bench` is the state of its bench: `up`, `away`, `restarting`, `silent`, or
    "unknown" if it has never reported; `error` says why it is not up. `drain` says who drained the host, or is None.
    """

    name: str
    machines: tuple[str, ...]
    workers: dict[Mode, int]
    running: int
    lanes_in_use: int
    bench: str
    error: str = ""
    facts: str = ""
    reported_ms: int = 0
    drain: Pause | None = None


class Hosts(Processes):
    """Reads the hosts. Read-only; six round trips, whatever the number of hosts."""

    def hosts(self) -> list[HostState]:
        """Return the hosts, `local` first if it is in use, then by name. A drained one is included even if it is gone."""
        workers, reports, drains = self.workers(), self.bench_reports(), self.drains()
        names = self.host_names()
        names += sorted(name for name in drains if name not in names and keys.is_host(name))
        with self.connection.reading() as pipe:
            for name in names:
                pipe.scard(of_host(self.keys.leased, name))
            lanes = dict(zip(names, (count or 0 for count in answers(pipe)), strict=True))
        found = []
        for name in names:
            here = [worker for worker in workers if worker.host_name == name]
            if name == keys.LOCAL and not (here or name in reports or name in drains or len(names) == 1):
                continue
            alive = [worker for worker in here if worker.alive]
            report = reports.get(name, {})
            modes = Counter(worker.mode for worker in alive)
            found.append(
                HostState(
                    name=name,
                    machines=tuple(sorted({worker.host for worker in alive})),
                    workers={mode: modes[mode] for mode in Mode},
                    running=sum(1 for worker in here if worker.run),
                    lanes_in_use=lanes[name],
                    bench=_state(report),
                    error=str(report.get("error") or ""),
                    facts=str(report.get("facts") or ""),
                    reported_ms=int(str(report.get("reported_ms") or 0)),
                    drain=drains.get(name),
                )
            )
        return found

    def host(self, name: str) -> HostState:
        """Return the host with this name. Raises HostNotFound."""
        known = self.hosts()
        found = next((host for host in known if host.name == name), None)
        if found is None:
            raise self._no_host(host.name for host in known)
        return found

    def drains(self) -> dict[str, Pause]:
        """Return {host: who drained it, why, and since when}."""
        fields = self.connection.lenient(lambda pipe: pipe.hgetall(keys.DRAINED)) or {}
        return {host: drain_of(text) for host, text in fields.items()}


def drain_of(text: str) -> Pause:
    """Decode the record of a drain. A damaged one is a drain without a reason."""
    try:
        record = json.loads(text)
        return Pause(str(record["by"]), str(record["why"]), int(record["since_ms"]))
    except (ValueError, KeyError, TypeError):
        return Pause("", "", 0)


def _state(report: dict[str, object]) -> str:
    """Return the state of a bench in one word."""
    if not report:
        return "unknown"
    if not fresh(int(str(report["age_ms"])), BENCH_SILENT_MS):
        return "silent"
    return str(report.get("state") or "unknown")
