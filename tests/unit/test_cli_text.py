"""The output of the CLI, from documents written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import click
import pytest

from app.cli import host, render, tables
from app.cli.console import columns
from app.cli.status_line import StatusLine
from app.formatting import ago
from dscp.lanes import LANES, Lane
from ledger.bench.diagnosis import assess
from ledger.bench.health import Health, HostReport, Life, Observed, Times, Worker, WorkerRecord
from ledger.bench.hosts import HostState
from ledger.runs.records import Pause, QueueView
from ledger.runs.run import Mode, Run, Service, State
from netlab.results.services import fold
from netlab.service.status import BenchReport
from tests.support.results import policy, read

PATH = ["hq-gw", "dc-core"]
QUICK, DETAILED = Mode.QUICK, Mode.DETAILED
WELL = Health(leader="ops1-812-ab12", followers=(), workers=(), paused=None, troubles=())
UNLED = assess(Observed(now_ms=0, hosts=(HostReport(state="up", reported_ms=1),)), Times())


def service(name: str, result: str, path: list[str] = PATH, blocked_by: tuple[str, ...] = ()) -> dict[str, Any]:
    port, _, protocol = name.rpartition("/")
    return {
        "port": int(port) if port else None,
        "protocol": protocol,
        "result": result,
        "path": path,
        "blocked_by": list(blocked_by),
    }


def router(name: str, hop: int, *services: dict[str, Any], out: str | None = "eth1") -> dict[str, Any]:
    return {"name": name, "hop": hop, "in": "eth0", "out": out, "services": list(services)}


def document(**other: Any) -> dict[str, Any]:
    return {
        "run_id": "3f2a9c1e-0000-4000-8000-000000000000",
        "mode": "quick",
        "source": "10.1.10.20",
        "destination": "10.3.20.8",
        "source_port": None,
        "dscp": 40,
        "verdict": "NO",
        "path": PATH,
        "routers": [
            router("hq-gw", 1, service("22/tcp", "YES"), service("icmp", "YES")),
            router("dc-core", 2, service("22/tcp", "NO"), service("icmp", "YES")),
        ],
        "services": [service("22/tcp", "NO", blocked_by=("dc-core",)), service("icmp", "YES")],
        "caveats": [],
        "reason": None,
        "facts": "abcdef123456",
        "timing_ms": {"total": 1.25},
        **other,
    }


def shown(**other: Any) -> str:
    return click.unstyle(render.result(read(document(**other)), width=100))


def test_a_result_in_full() -> None:
    assert shown() == (
        "10.1.10.20 → 10.3.20.8  NO  quick run 3f2a9c1e, lane 40\n"
        "\n"
        "  NO  22/tcp from 10.1.10.20 to 10.3.20.8 is blocked by dc-core.\n"
        "  YES  icmp from 10.1.10.20 to 10.3.20.8 is allowed on the forward path via hq-gw, dc-core"
        " (return path not tested).\n"
        "\n"
        "  path  hq-gw → dc-core\n"
        "\n"
        "  router   in → out     22/tcp  icmp\n"
        "  hq-gw    eth0 → eth1  YES     YES\n"
        "  dc-core  eth0 → eth1  NO      YES\n"
        "  overall               NO      YES\n"
        "\n"
        "  facts abcdef123456, 1.25 ms on the bench"
    )


def test_reason_and_caveats_are_shown() -> None:
    lost = service("22/tcp", "NO", path=[]) | {"reason": "hq-gw has no route"}
    text = shown(services=[lost], routers=[], caveats=["dc-core: limit", "hq-gw: recent"])
    assert text.splitlines()[2] == "  NO  22/tcp from 10.1.10.20 to 10.3.20.8 fails: hq-gw has no route."
    assert "    - dc-core: limit\n    - hq-gw: recent" in text


def test_no_router_on_the_way() -> None:
    text = shown(routers=[], path=[], services=[service("22/tcp", "NO", path=[])])
    assert "path  no router in between" in text


def test_a_router_that_keeps_the_packet() -> None:
    assert "eth0 → itself" in shown(routers=[router("hq-gw", 1, service("22/tcp", "YES"), out=None)])


def test_services_that_go_different_ways() -> None:
    text = shown(services=[service("22/tcp", "YES", path=["a", "b"]), service("80/tcp", "YES", path=["a", "c"])])
    assert "  path  a → b  (22/tcp)\n  path  a → c  (80/tcp)" in text


def test_many_services_turn_the_matrix_and_fold() -> None:
    names = [f"{port}/tcp" for port in range(8000, 8050)] + ["53/udp"]
    blocked = [service(name, "NO", blocked_by=("dc-core",)) for name in names[:-1]]
    text = shown(
        services=[*blocked, service("53/udp", "YES")],
        routers=[
            router("hq-gw", 1, *(service(name, "YES") for name in names)),
            router("dc-core", 2, *(service(name, "NO") for name in names[:-1]), service("53/udp", "YES")),
        ],
    )
    assert "  8000-8049/tcp  YES    NO       NO\n  53/udp         YES    YES      YES" in text
    assert "8000-8049/tcp from 10.1.10.20 to 10.3.20.8 are blocked by dc-core." in text


def test_a_router_passed_twice_shows_its_worst_answer_when_turned() -> None:
    names = [f"{port}/tcp" for port in range(1, 40, 2)]
    text = shown(
        services=[service(name, "NO", blocked_by=("a",)) for name in names],
        routers=[
            router("a", 1, *(service(name, "YES") for name in names)),
            router("a", 2, *(service(name, "NO") for name in names)),
        ],
    )
    assert "  1/tcp    NO  NO" in text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["22/tcp"], "22/tcp"),
        (["22/tcp", "23/tcp"], "22-23/tcp"),
        (["22/tcp", "23/udp"], "22/tcp, 23/udp"),
        (["icmp", "80/tcp", "81/tcp", "83/tcp"], "icmp, 80-81/tcp, 83/tcp"),
        ([], ""),
    ],
)
def test_services_in_few_words(given: list[str], expected: str) -> None:
    assert fold(read(document(services=[service(name, "YES") for name in given])).services) == expected


def run(**other: Any) -> Run:
    given = {
        "id": "3f2a9c1e-0000-4000-8000-000000000000",
        "mode": Mode.QUICK,
        "source": "10.1.10.20",
        "destination": "10.3.20.8",
        "services": (Service(port=22, protocol="tcp"),),
        "state": State.PENDING,
    }
    return Run.model_validate({**given, **other})


def test_a_waiting_run_says_why() -> None:
    text = tables.one_run(run(wait_reason="a detailed run has the bench"))
    assert "waiting: a detailed run has the bench" in text
    assert "waiting: not yet scheduled" in tables.one_run(run())


def test_a_running_run_says_where() -> None:
    text = click.unstyle(tables.one_run(run(state=State.RUNNING, worker="w1", attempt=2, dscp=33, cancelling=True)))
    assert "running on w1, attempt 2, lane 33" in text
    assert "being cancelled" in text


def test_a_failed_run_says_what_went_wrong() -> None:
    text = click.unstyle(tables.one_run(run(state=State.FAILED, attempt=3, error="no bench answers")))
    assert "failed" in text
    assert "after 3 attempts" in text
    assert "no bench answers" in text


def test_empty_states() -> None:
    text = click.unstyle(tables.queue(QueueView([], [], 0, []), health=WELL))
    assert text.splitlines() == [
        "running (0)",
        "  nothing is running",
        "waiting (0)",
        "  nothing is waiting. A new run starts at once.",
        "finished",
        "  nothing has finished yet",
    ]
    assert tables.run_list([], 0, 0) == "no runs yet"
    assert tables.run_list([], 7, 20) == "no runs at offset 20; there are only 7"
    assert "has never reported" in tables.bench(BenchReport(), None, WELL)
    assert "leader   none" in tables.bench(BenchReport(), None, WELL)


def test_the_queue_tells_how_many_it_does_not_show() -> None:
    text = tables.queue(QueueView([], [run(wait_reason="no lane is free")], 40, []), health=WELL)
    assert "1.  3f2a9c1e  quick" in text
    assert "no lane is free" in text
    assert "and 39 more" in text
    assert "compat_dispatcher" not in text


def test_a_dead_dispatcher_is_the_reason_and_not_what_it_wrote_before() -> None:
    view = QueueView([], [run(wait_reason="no lane is free")], 1, [])
    text = click.unstyle(tables.queue(view, health=UNLED))
    assert "! no dispatcher leads; start `python -m compat_dispatcher`" in text
    assert "no lane is free" not in text
    empty = click.unstyle(tables.queue(QueueView([], [], 0, []), health=UNLED))
    assert "nothing is waiting. A new run cannot start: no dispatcher leads." in empty
    shown = tables.one_run(run(wait_reason="no lane is free"), UNLED)
    assert "waiting: no dispatcher leads; start `python -m compat_dispatcher`" in shown


def test_workers_that_are_silent_or_hang_are_not_counted_as_alive() -> None:
    held = ((Life.ALIVE, "r"), (Life.SILENT, ""), (Life.HUNG, "s"))
    workers = tuple(Worker(WorkerRecord("q", "quick", "host", 1, 1, run=run), life, 0) for life, run in held)
    text = tables.bench(BenchReport(), None, replace(WELL, workers=workers))
    assert "workers  1 quick (1 busy, 1 silent, 1 hung)" in text


def test_a_pause_is_shown_with_who_and_why() -> None:
    pause = Pause("anna", "new facts", int(time.time() * 1000) - 5000)
    sentence = "the bench is paused by anna, 5 s ago: new facts"
    assert tables.pause(pause) == sentence
    assert tables.pause(replace(pause, why="")) == "the bench is paused by anna, 5 s ago"
    assert click.unstyle(tables.queue(QueueView([], [], 0, []), health=WELL, paused=pause)).splitlines()[:2] == [
        sentence,
        "running (0)",
    ]
    assert f"paused   {sentence}; `reachq bench resume` ends it" in click.unstyle(
        tables.bench(BenchReport(), None, WELL, paused=pause)
    )


def test_a_bench_that_has_fallen_silent_is_not_called_up() -> None:
    now = int(time.time() * 1000)
    recent = BenchReport(state="up", reported_ms=now - 1000, age_ms=1000)
    assert "up, as of 1 s ago" in tables.bench(recent, None, WELL)
    silent = BenchReport(state="up", reported_ms=now - 15_000, age_ms=15_000)
    assert "last report 15 s ago: up" in tables.bench(silent, None, WELL)


def test_a_rule_that_stops_many_ports_names_them_in_few_words() -> None:
    names = [f"{port}/tcp" for port in range(1, 101) if port != 53]
    cells = [service(name, "NO") | {"rule": policy(file="dc-core/iptables.rules")} for name in names]
    text = shown(services=[service(name, "NO") for name in names], routers=[router("dc-core", 1, *cells)])
    assert text.splitlines()[2] == (
        "  NO  1-52/tcp, 54-100/tcp from 10.1.10.20 to 10.3.20.8 are blocked by dc-core, "
        "policy DROP of FORWARD (dc-core/iptables.rules:4)."
    )


def test_lanes() -> None:
    lanes = [Lane(n, n == 40, run_id="3f2a9c1e" if n == 40 else "", worker="w1", fence=7) for n in LANES]
    text = tables.lanes(lanes)
    assert text.splitlines()[0] == "1 of 32 lanes in use"
    assert "free: 32-39, 41-63" in text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s ago"), (59, "59 s ago"), (120, "2 min ago"), (7200, "2 h ago"), (172_800, "2 d ago")],
)
def test_ages(seconds: int, expected: str) -> None:
    assert ago(1000, 1000 + seconds * 1000) == expected


def test_a_clock_that_runs_behind_makes_no_negative_age() -> None:
    assert ago(5000, 1000) == "0 s ago"


def test_colour_takes_no_room() -> None:
    red = click.style("NO", fg="red")
    lines = columns([[red, "x"], ["UNKNOWN", "y"]]).splitlines()
    assert [click.unstyle(line) for line in lines] == ["  NO       x", "  UNKNOWN  y"]


def test_starting_the_command_is_quick_and_loads_no_web() -> None:
    """What `reachq queue` imports: not Flask, not RQ, not the bench's live part."""
    script = "import sys, json, app.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(done))
    assert not loaded & {"flask", "cheroot", "rq", "honcho", "netlab.live.build", "app.launch.up"}


def test_a_reason_that_only_grows_older_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    status_line = StatusLine()
    status_line._since -= 1  # it prints nothing at the beginning
    for age in ("8 s", "9 s", "2 min"):
        status_line.show(f"waiting: the last heartbeat of a dispatcher was {age} ago; start one")
    status_line.show("running")
    output = capsys.readouterr().err.splitlines()
    assert output == ["waiting: the last heartbeat of a dispatcher was 8 s ago; start one", "running"]


def test_lanes_of_several_hosts() -> None:
    lanes = [Lane(n, n == 40, host, run_id="3f2a9c1e" if n == 40 else "") for host in ("local", "east") for n in LANES]
    text = click.unstyle(tables.lanes(lanes))
    assert text.count("1 of 32 lanes in use") == 2
    assert text.splitlines()[0] == "host local: 1 of 32 lanes in use"
    free = click.unstyle(
        tables.lanes([Lane(n, False, host) for host in ("east", "west") for n in LANES], ["a problem"])
    )
    assert free.splitlines() == [
        "host east: all 32 lanes are free (DSCP 32-63)",
        "host west: all 32 lanes are free (DSCP 32-63)",
        "  ! a problem",
    ]


def test_a_run_names_its_host_if_there_are_several() -> None:
    on_bench = run(state=State.RUNNING, worker="w1", attempt=1, dscp=33, host="east")
    assert "lane 33, host east" in click.unstyle(tables.one_run(on_bench, several_hosts=True))
    assert "host" not in click.unstyle(tables.one_run(run(state=State.RUNNING, dscp=33)))
    failed = run(state=State.FAILED, attempt=1, host="east", started_ms=5)
    assert "after 1 attempt, host east" in click.unstyle(tables.one_run(failed, several_hosts=True))


def a_host(name: str = "east", bench: str = "up", **more: Any) -> HostState:
    given = {"machines": ("m1",), "facts": "b17e42431a16", "reported_ms": 5, **more}
    return HostState(name=name, workers={QUICK: 32, DETAILED: 1}, running=3, lanes_in_use=2, bench=bench, **given)


def test_hosts() -> None:
    drained = a_host("west", "away", error="no bench answers", facts="", drain=Pause("ops", "new memory", 5))
    head, east, west, fault = click.unstyle(host.table([a_host(), drained])).splitlines()
    assert head.split() == ["host", "bench", "quick", "detailed", "bulk", "running", "lanes", "facts", "drained"]
    assert east.split() == ["east", "up", "32", "1", "0", "3", "2", "of", "32", "b17e42431a16"]
    assert west.startswith("  west  away")
    assert "unknown" in west
    assert f"drained by ops, {ago(5)}: new memory" in west
    assert fault == "  ! host west: no bench answers"


def test_machines_that_share_a_host_name() -> None:
    text = click.unstyle(host.table([a_host(machines=("m1", "m2"))]))
    assert text.splitlines()[-1] == (
        "  ! 2 machines have the host name east: m1, m2; give each its own REACHQ_HOST_NAME"
    )


def test_a_damaged_drain_and_no_host() -> None:
    assert host.drained_by(Pause("", "", 0)) == "drained"
    none = HostState("local", (), {QUICK: 0, DETAILED: 0}, 0, 0, "unknown")
    assert "no host has ever reported: start `reachq up`" in click.unstyle(host.table([none]))
