"""Current numbers of runs, lanes and workers, for metrics."""

from __future__ import annotations

from typing import Any

from dscp.lanes import LANES
from ledger.bench.diagnosis import BENCH_SILENT_MS, fresh
from ledger.bench.processes import holder_of
from ledger.redis.connection import answers
from ledger.redis.keys import of_host
from ledger.redis.part import LedgerPart
from ledger.runs.records import Counts
from ledger.runs.run import Mode
from ledger.runs.soundness import number


class MetricsCounts(LedgerPart):
    """Reads counts only, so the cost does not grow with the queue or the history."""

    def counts(self) -> Counts:
        """Return the numbers of lanes, runs and workers, and whether a bench is up and a dispatcher leads.

        Four round trips.
        """
        hosts = self.used_hosts()
        with self.connection.reading() as pipe:
            for host in hosts:
                pipe.scard(of_host(self.keys.leased, host))
                pipe.hmget(of_host(self.keys.status, host), "state", "reported_ms")
            of_hosts = answers(pipe)
            pipe.time()
            for mode in Mode:
                pipe.hvals(self.keys.waiting[mode])
                pipe.scard(self.keys.running[mode])
            pipe.zrange(self.keys.workers, 0, -1, withscores=True)
            pipe.hlen(self.keys.paused)
            pipe.get(self.keys.leader)
            now, *lines, beats, paused, leader = answers(pipe)
        now_ms = now[0] * 1000 + now[1] // 1000
        alive = [queue for queue, beat in beats or () if fresh(now_ms - beat, self.settings.lease_ms)]
        return Counts(
            lanes_in_use=sum(leased or 0 for leased in of_hosts[::2]),
            lanes=len(LANES) * len(hosts),
            waiting={mode: sum(map(number, each or ())) for mode, each in zip(Mode, lines[::2], strict=True)},
            running=dict(zip(Mode, (size or 0 for size in lines[1::2]), strict=True)),
            workers_alive=self._by_mode(alive),
            bench_up=any(_up(bench or [None, None], now_ms) for bench in of_hosts[1::2]),
            paused=bool(paused),
            leader_epoch=holder_of(leader)[1],
        )

    def _by_mode(self, queues: list[str]) -> dict[Mode, int]:
        with self.connection.reading() as pipe:
            for queue in queues:
                pipe.hget(self.keys.worker_prefix + queue, "mode")
            modes = answers(pipe)
        return {mode: modes.count(mode) for mode in Mode}


def _up(bench: list[Any], now_ms: int) -> bool:
    """Return whether the bench has recently reported that it is up."""
    state, reported_ms = bench
    return bool(state == '"up"' and fresh(now_ms - number(reported_ms), BENCH_SILENT_MS))
