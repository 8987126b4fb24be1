"""The ledger as a small Python model: what every verb must do, for one bench, without Redis."""

from __future__ import annotations

from dataclasses import dataclass, field

ATTEMPTS_MAX = 3


@dataclass
class ModelRun:
    """A run; `queue` is the worker it was given to, `turn` its entry into the line, 0 while it waits beyond it."""

    mode: str
    user: str
    seq: int
    turn: int = 0
    state: str = "pending"
    attempt: int = 0
    queue: str = ""
    cancelling: bool = False
    accepted: int = 0


@dataclass
class Model:
    """All runs by name, live workers by queue, which run each holds; the line holds `line_max` runs of each user."""

    line_max: int = 32
    runs: dict[str, ModelRun] = field(default_factory=dict)
    counter: int = 0
    workers: dict[str, str] = field(default_factory=dict)
    paused: bool = False

    def held(self, mode: str) -> list[str]:
        return [n for n, r in self.runs.items() if r.mode == mode and r.state in ("promoted", "running")]

    def waiting(self, mode: str) -> list[str]:
        """The waiting runs of a mode, in the order of submission."""
        return [n for n, r in self.runs.items() if r.mode == mode and r.state == "pending"]

    def line(self, mode: str) -> list[str]:
        """The runs of a mode in the line, in order."""
        return sorted((n for n in self.waiting(mode) if self.runs[n].turn), key=lambda name: self.runs[name].turn)

    def surplus(self, mode: str, user: str) -> list[str]:
        """The user's runs of a mode beyond the line, in order."""
        return [n for n in self.waiting(mode) if self.runs[n].user == user and not self.runs[n].turn]

    def next_number(self) -> int:
        self.counter += 1
        return self.counter

    def move_up(self, mode: str, user: str) -> None:
        """Fill the user's places in the line from the surplus."""
        for name in self.surplus(mode, user):
            if sum(self.runs[other].user == user for other in self.line(mode)) >= self.line_max:
                return
            self.runs[name].turn = self.next_number()

    def submit(self, name: str, mode: str, user: str = "api") -> None:
        in_line = sum(self.runs[other].user == user for other in self.line(mode))
        seq = self.next_number()
        room = in_line < self.line_max and not self.surplus(mode, user)
        self.runs[name] = ModelRun(mode, user, seq, seq if room else 0)

    def promote(self, name: str, queue: str) -> str:
        if self.paused:
            return "paused"
        run, alone, in_lanes = self.runs[name], len(self.held("detailed")), len(self.held("quick") + self.held("bulk"))
        own, other = (alone, in_lanes) if run.mode == "detailed" else (in_lanes, alone)
        if run.state != "pending":
            return "not-pending"
        if other:
            return "occupied"
        if own >= (1 if run.mode == "detailed" else 32):
            return "no-slot"
        if self.workers.get(queue) != run.mode:
            return "no-worker"
        if any(r.queue == queue and r.state in ("promoted", "running") for r in self.runs.values()):
            return "busy-worker"
        if not run.turn:
            return "not-pending"
        run.state, run.queue, run.attempt = "promoted", queue, run.attempt + 1
        self.move_up(run.mode, run.user)
        return "promoted"

    def begin(self, name: str, queue: str) -> bool:
        run = self.runs[name]
        if run.state == "running" and run.queue == queue:
            return True  # its worker repeats the call
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
            waited, run.state = run.state == "pending", "cancelled"
            if waited:
                self.move_up(run.mode, run.user)
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
