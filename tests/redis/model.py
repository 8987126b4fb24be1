"""The ledger as a small Python model: what every verb must do, for one bench, without Redis."""

from __future__ import annotations

from dataclasses import dataclass, field

ATTEMPTS_MAX = 3


@dataclass
class ModelRun:
    """A run; `queue` is the worker it was given to."""

    mode: str
    seq: int
    state: str = "pending"
    attempt: int = 0
    queue: str = ""
    cancelling: bool = False
    accepted: int = 0


@dataclass
class Model:
    """All runs by name, live workers by queue, which run each holds."""

    runs: dict[str, ModelRun] = field(default_factory=dict)
    workers: dict[str, str] = field(default_factory=dict)
    paused: bool = False

    def held(self, mode: str) -> list[str]:
        return [n for n, r in self.runs.items() if r.mode == mode and r.state in ("promoted", "running")]

    def pending(self, mode: str) -> list[str]:
        names = [n for n, r in self.runs.items() if r.mode == mode and r.state == "pending"]
        return sorted(names, key=lambda name: self.runs[name].seq)

    def submit(self, name: str, mode: str) -> None:
        self.runs[name] = ModelRun(mode, len(self.runs) + 1)

    def promote(self, name: str, queue: str) -> str:
        if self.paused:
            return "paused"
        run, held = self.runs[name], {mode: len(self.held(mode)) for mode in ("quick", "detailed")}
        if run.state != "pending":
            return "not-pending"
        if (held["detailed"] and run.mode == "quick") or (held["quick"] and run.mode == "detailed"):
            return "occupied"
        if held[run.mode] >= (32 if run.mode == "quick" else 1):
            return "no-slot"
        if self.workers.get(queue) != run.mode:
            return "no-worker"
        if any(r.queue == queue and r.state in ("promoted", "running") for r in self.runs.values()):
            return "busy-worker"
        run.state, run.queue, run.attempt = "promoted", queue, run.attempt + 1
        return "promoted"

    def begin(self, name: str, queue: str) -> bool:
        run = self.runs[name]
        if run.state != "promoted" or run.queue != queue or queue not in self.workers:
            return False
        run.state = "running"
        return True

    def end(self, name: str, state: str) -> None:
        run = self.runs[name]
        run.state, run.accepted = state, run.accepted + (state == "done")

    def cancel(self, name: str) -> str:
        run = self.runs[name]
        if run.state == "running":
            run.cancelling = True
        elif run.state in ("pending", "promoted"):
            run.state = "cancelled"
        else:
            return "ended"
        return run.state

    def give_back(self, name: str) -> str:
        run = self.runs[name]
        begun, run.state = run.state == "running", "pending"
        run.attempt -= not begun
        if run.cancelling:
            run.state = "cancelled"
        elif begun and run.attempt >= ATTEMPTS_MAX:
            run.state = "failed"
        return run.state
