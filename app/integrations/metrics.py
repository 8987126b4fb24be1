"""The Prometheus metrics: gauges, read from the ledger at each scrape, and counters and times from the event stream.

Every web process counts the whole stream from its own start, so all web processes export the same counters. Take the
maximum of these counters (`max by (mode) (rate(…))`), not the sum. The dashboard docs/grafana/reachq.json shows all
metrics.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from ledger.errors import ReachqError
from ledger.events import Event, Kind
from ledger.runs.run import Mode
from ledger.store import AppLedger

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)
"""Limits of the histogram buckets, in s.

A quick run on an idle bench takes a few ms, a detailed one seconds, and a wait in the queue may take minutes.
"""
VERDICTS = ("YES", "NO", "UNKNOWN")

log = logging.getLogger(__name__)


class Metrics:
    """All metrics of one web process.

    Call `observe` once for every event, in order and from one thread. `exposition` may be called from any thread.
    """

    def __init__(self, ledger: AppLedger) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, of no use here
        self._bench = ledger.bench
        self._registry = CollectorRegistry()
        self._registry.register(Gauges(ledger))
        mode, registry = ["mode"], self._registry
        self._submitted = Counter("reachq_submitted", "Runs submitted.", mode, registry=registry)
        self._verdicts = Counter("reachq_verdicts", "Runs answered.", ["mode", "verdict"], registry=registry)
        self._failed = Counter("reachq_failed", "Runs that ended without an answer.", registry=registry)
        self._cancelled = Counter("reachq_cancelled", "Runs cancelled.", registry=registry)
        self._reaped = Counter(
            "reachq_reaped", "Attempts lost: the lease expired, or no worker began in time.", registry=registry
        )
        self._ledger = Counter("reachq_leader_changes", "Times a dispatcher took the leadership.", registry=registry)
        self._wait = Histogram(
            "reachq_wait_seconds",
            "Time from submission until a worker began.",
            mode,
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._run = Histogram(
            "reachq_run_seconds", "Time from the start of a run to its end.", mode, buckets=BUCKETS_S, registry=registry
        )
        for (
            known
        ) in Mode:  # create every series at 0: rate() cannot see the first event of a series that appears with it
            self._submitted.labels(known)
            self._wait.labels(known)
            self._run.labels(known)
            for verdict in VERDICTS:
                self._verdicts.labels(known, verdict)

    def observe(self, event: Event) -> None:
        """Count one event if it is about this bench. Missing or malformed fields are ignored."""
        if event.bench != self._bench:
            return
        mode = event.fields.get("mode", "")
        if event.kind is Kind.LED:
            self._ledger.inc()
        elif mode in _MODES:
            self._about_a_run(event, mode)

    def _about_a_run(self, event: Event, mode: str) -> None:
        if event.fields.get("lost"):
            self._reaped.inc()
        if event.kind is Kind.SUBMITTED:
            self._submitted.labels(mode).inc()
        elif event.kind is Kind.BEGUN:
            _time(self._wait, mode, event.fields.get("wait_ms"))
        elif event.kind is Kind.CANCELLED:
            self._cancelled.inc()
        elif event.kind in (Kind.FINISHED, Kind.FAILED):
            _time(self._run, mode, event.fields.get("run_ms"))
            if event.kind is Kind.FAILED:
                self._failed.inc()
            elif (verdict := event.fields.get("verdict")) in VERDICTS:
                self._verdicts.labels(mode, verdict).inc()

    def exposition(self) -> tuple[bytes, str]:
        """Return the page for Prometheus and its content type.

        Never raises an error: an unreachable Redis is reported there.
        """
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4


_MODES = frozenset(Mode)


def _time(histogram: Histogram, mode: str, ms: str | None) -> None:
    if ms is not None and ms.isdecimal():
        histogram.labels(mode).observe(int(ms) / 1000)


class Gauges(Collector):
    """Gauges of the current state. If Redis is unreachable, they report only that."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def describe(self) -> list[GaugeMetricFamily]:
        """Return an empty list, so that registering does not read from Redis."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield one gauge per family."""
        try:
            now = self._ledger.counts()
        except ReachqError as error:
            log.warning("metrics: %s", error)
            yield _gauge("store_up", "Whether Redis answers.", 0)
            return
        yield _gauge("store_up", "Whether Redis answers.", 1)
        yield _gauge("lanes", "Lanes of all hosts.", now.lanes)
        yield _gauge("lanes_in_use", "Lanes in use by quick and bulk runs.", now.lanes_in_use)
        yield _by_mode("waiting", "Runs that wait.", now.waiting)
        yield _by_mode("running", "Runs that hold a slot of the bench.", now.running)
        yield _by_mode("workers_alive", "Live workers.", now.workers_alive)
        yield _gauge("bench_up", "Whether the bench has recently reported that it is up.", now.bench_up)
        yield _gauge("paused", "Whether the bench is paused.", now.paused)
        yield _gauge("leader_epoch", "Epoch of the leading dispatcher, 0 for none.", now.leader_epoch)


def _gauge(name: str, says: str, value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"reachq_{name}", says, value=value)


def _by_mode(name: str, says: str, values: dict[Mode, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"reachq_{name}", says, labels=["mode"])
    for mode, value in values.items():
        family.add_metric([mode], value)
    return family
