"""What pages and API cost with a long history, against the same server answering a static page, interleaved in one run.

    .venv/bin/python -m benchmarks.web [--history 10000] [--rounds 20]

The server is `python -m app` on an embedded Redis whose history holds that many answered runs, made by the ledger's own
scripts; 100 runs wait and nothing takes them. Clients keep their connections open, with one request on each at a time.
A round asks each way REQUESTS times. What it submitted is answered before the next, and as many of the oldest are forgotten,
outside of the clock.
`of static`: the median beside that of the static file. With eight connections a median holds the wait for seven others.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlencode

from app.people.accounts import Accounts
from benchmarks.history import SLOTS, end, fill, questions
from benchmarks.keep_alive import ask, request
from benchmarks.private_server import private_server
from benchmarks.tables import ratio, table
from ledger.people.records import UserRole
from ledger.runs.run import State
from ledger.settings import Settings, load_settings
from ledger.store import Ledger

REQUESTS = 40
CONNECTIONS = (1, 8)
WAITING = 100
TOKEN = "benchmark-token"
QUESTION = {"source": "10.1.10.20", "destination": "10.3.20.8", "services": "22,80/tcp,53/udp", "mode": "quick"}
STATIC = "static file"
Way = tuple[int, Callable[[], bytes]]
"""Expected status, and the next request."""


@contextmanager
def served(settings: Settings) -> Iterator[int]:
    """Run `python -m app`; yields its port."""
    env = os.environ | {"REACHQ_REDIS_URL": settings.redis_url, "REACHQ_DATA": str(settings.data)}
    env |= {"REACHQ_PORT": "0", "REACHQ_TOKEN": TOKEN}
    command = [sys.executable, "-m", "app"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as web:
        try:
            assert web.stdout
            yield int(web.stdout.readline().rpartition(":")[2])
        finally:
            web.terminate()


def signed_in(ledger: Ledger, name: str, role: UserRole) -> tuple[dict[str, str], str]:
    """Headers of a new user's browser, and the fields of its forms."""
    accounts = Accounts(ledger)
    password = accounts.add_user(name, role, None, by="benchmark")
    cookie, session = accounts.sign_in(name, password, "127.0.0.1", "benchmark")
    return {"Cookie": f"reachq={cookie}"}, session.csrf


def ways(ledger: Ledger, done: list[str]) -> dict[str, Way]:
    """All requests that are measured."""
    program = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    admin, csrf = signed_in(ledger, "admin-1", UserRole.ADMIN)
    user, _ = signed_in(ledger, "anna", UserRole.USER)
    form = admin | {"Content-Type": "application/x-www-form-urlencoded"}
    some = itertools.cycle(done[-500:])

    def get(path: str, headers: dict[str, str]) -> Way:
        data = request("GET", path, headers)
        return 200, lambda: data

    def submit_form() -> bytes:
        return request("POST", "/", form, urlencode({**QUESTION, "csrf": csrf, "key": str(uuid.uuid4())}).encode())

    body = json.dumps(QUESTION).encode()
    return {
        STATIC: get("/static/reachq.css", {}),
        "sign-in page": get("/sign-in", {}),
        "submit, API": (202, lambda: request("POST", "/api/runs", program, body)),
        "submit, form": (303, submit_form),
        "ask page": get("/", user),
        "run, API": (200, lambda: request("GET", f"/api/runs/{next(some)}", program)),
        "result, API": (200, lambda: request("GET", f"/api/runs/{next(some)}/result", program)),
        "run page": (200, lambda: request("GET", f"/runs/{next(some)}", admin)),
        "queue, API": get("/api/queue", program),
        "runs, API": get("/api/runs", program),
        "runs page": get("/runs", admin),
        "runs page, a user's": get("/runs", user),
        "runs page, searched": get("/runs?text=10.2&verdict=NO", admin),
        "board page": get("/board", admin),
    }


def tidy(ledger: Ledger, history: int) -> None:
    """Answer the submitted runs, and delete as many of the oldest."""
    while (over := ledger.queue(limit=1).waiting_total - WAITING) > 0:
        end(ledger, ledger.runs(state=State.PENDING, limit=min(over, SLOTS))[0])
    while ledger.trim():
        pass
    assert ledger.queue(limit=1).finished_total == history


def measure(
    port: int, ways: dict[str, Way], rounds: int, tidy_up: Callable[[], None]
) -> dict[tuple[int, str], tuple[list[float], float]]:
    """{(connections, way): seconds of each request, seconds of all}."""
    took: dict[tuple[int, str], list[float]] = defaultdict(list)
    whole: dict[tuple[int, str], float] = defaultdict(float)
    for _ in range(rounds):
        for connections in CONNECTIONS:
            for name, (status, make) in ways.items():
                made = iter(make, None)
                each, together = ask(port, made, REQUESTS, connections, status)
                took[connections, name] += each
                whole[connections, name] += together
            tidy_up()
    return {key: (took[key], whole[key]) for key in took}


def main() -> None:
    """Fill, serve, measure in turn, print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--history", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--only", help="measure ways with this in their name alone")
    given = options.parse_args()
    with private_server() as path, tempfile.TemporaryDirectory() as data:
        settings = load_settings(redis_url=f"unix://{path}", data=Path(data), keep_finished=given.history)
        with Ledger.connect(settings) as ledger, served(settings) as port:
            done = fill(ledger, given.history)
            for asked, owner in itertools.islice(questions(), WAITING):
                ledger.submit(asked, user=owner)
            chosen = ways(ledger, done)
            if given.only:
                chosen = {name: way for name, way in chosen.items() if name == STATIC or given.only in name}
            measure(port, chosen, 1, lambda: tidy(ledger, given.history))
            measured = measure(port, chosen, given.rounds, lambda: tidy(ledger, given.history))
    for connections in CONNECTIONS:
        reference = measured[connections, STATIC][0]
        rows = [
            [name, f"{len(each) / together:.0f}", f"{median(each) * 1e3:.2f}", f"{quantiles(each, n=100)[98] * 1e3:.2f}",
             ratio(each, reference)]
            for (count, name), (each, together) in measured.items() if count == connections
        ]  # fmt: skip
        title = f"{given.history} runs in the history, {connections} connection{'s' if connections > 1 else ''}"
        print(table(title, ["", "requests/s", "p50 ms", "p99 ms", "of static"], rows))


if __name__ == "__main__":
    main()
