"""A detailed run for its users: API, command line, progress, cancelling, timeouts, and the bench's status during it."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.answers.sentences import published
from app.api.documents import LogDocument
from ledger.events import Kind
from ledger.runs.run import Mode, Run, State
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from netlab.detailed.run import PHASES
from netlab.results.codec import encode
from netlab.service.client import BenchClient, default_address
from netlab.service.status import BenchReport
from tests.support import history
from tests.support.bench_inside import in_use
from tests.support.bench_report import reported
from tests.support.lost_replies import UNANSWERED, lossy_campus
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.results import read, stored
from tests.support.runs import a_request
from tests.support.waiting import wait_until
from tests.system.running import ROOT, System

SOURCE, DESTINATION = "10.1.10.20", "10.3.20.8"
MIXED = "22,443,53/udp,icmp"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One running system for all tests of this file, on a network where a run from UNANSWERED lasts two seconds."""
    folder = tmp_path_factory.mktemp("detailed")
    network = lossy_campus(folder / "network")
    running = System(folder / "data", options=["--no-first", "--network", str(network)]).ready()
    yield running
    running.end()
    running.assert_gone()
    running.close()


@pytest.fixture
def record(system: System) -> Iterator[Ledger]:
    """The system's own ledger; afterwards nothing may be left on its bench."""
    with Ledger.connect(load_settings(data=system.data)) as ledger:
        yield ledger
    bench = bench_of(system)
    wait_until(lambda: in_use(bench.status()) == [], 4, "all is back")


def bench_of(system: System) -> BenchClient:
    return BenchClient(default_address(system.data, "main"), 5)


class Api:
    """The system's HTTP API."""

    def __init__(self, system: System) -> None:
        self._host = system.url.removeprefix("http://")
        self._headers = {"Authorization": f"Bearer {(system.data / 'token').read_text().strip()}"}

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and document."""
        connection = http.client.HTTPConnection(self._host, timeout=patience(10))
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, f"/api{path}", sent, {**self._headers, "Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def submit(self, services: str = MIXED, source: str = SOURCE, destination: str = DESTINATION) -> str:
        """A detailed run; its id."""
        body = {"source": source, "destination": destination, "services": services, "mode": "detailed"}
        status, run = self.call("POST", "/runs", body)
        assert status == 202, run
        return str(run["id"])

    def result(self, run_id: str) -> dict[str, Any]:
        """The result, when there is one."""
        path, soon = f"/runs/{run_id}/result", "urn:reachq:problem:not-finished"
        answers = iter(lambda: self.call("GET", path), None)
        found = wait_until(lambda: a if (a := next(answers))[1].get("type") != soon else None, 10, "it has ended")
        assert found is not None
        status, document = found
        assert status == 200, document
        return dict(document)

    def events(self, after: str, until: str) -> list[dict[str, Any]]:
        """The live events after one with that id, up to the first of kind `until`; each with its `id`."""
        connection = http.client.HTTPConnection(self._host, timeout=patience(10))
        try:
            connection.request("GET", "/api/events", headers={**self._headers, "Last-Event-ID": after})
            found: list[dict[str, Any]] = []
            number = ""
            for line in connection.getresponse():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    number = value
                elif name == "data":
                    found.append({"id": number, **json.loads(value)})
                    if found[-1]["kind"] == until:
                        return found
            return found
        finally:
            connection.close()


@pytest.fixture
def api(system: System, record: Ledger) -> Api:
    return Api(system)


def running(record: Ledger, run_id: str, phase: str = "") -> Run:
    """Wait until the run is on the bench, and has reached `phase`."""
    wait_until(lambda: record.run(run_id).state is State.RUNNING, 10, "it runs")
    if phase:
        wait_until(lambda: phase in [entry.phase for entry in record.log(run_id)], 5, f"it has come to {phase}")
    return record.run(run_id)


def ended(record: Ledger, run_id: str, *states: State) -> Run:
    wait_until(lambda: record.run(run_id).state in states, 10, f"run {run_id} is {states}")
    return record.run(run_id)


def test_the_result_names_the_rule_on_every_router_both_ways(api: Api) -> None:
    document = api.result(api.submit())
    read(document)
    assert (document["mode"], document["verdict"], document["dscp"]) == ("detailed", "NO", None)
    ssh, https, dns, ping = document["services"]
    assert [s["outcome"] for s in (ssh, https, dns, ping)] == ["TIMEOUT", "CONNECTED", "TIMEOUT", "CONNECTED"]
    assert [s["result"] for s in (ssh, https, dns, ping)] == ["NO", "YES", "NO", "YES"]
    assert https["path"] == ["hq-core", "hq-gw", "wan-2", "dc-gw", "dc-fw", "dc-core"]
    assert https["reply_path"] == ["dc-core", "dc-fw", "dc-gw", "wan-1", "hq-gw", "hq-core"]
    assert [hop["direction"] for hop in https["hops"]] == ["request"] * 6 + ["reply"] * 6
    assert [hop["router"] for hop in https["hops"]] == https["path"] + https["reply_path"]
    assert https["latency_ms"] > 0
    assert (ssh["blocked"], ssh["blocked_by"], ssh["also_blocked_by"]) == ("request", ["dc-fw"], ["dc-core"])
    assert ssh["hops"][-1]["rule"]["policy"]
    says = "is blocked by dc-fw, policy DROP of FORWARD (dc-fw/iptables.rules:4); dc-core, further along the path, "
    says += "would also block it."
    assert ssh["sentence"] == f"22/tcp from {SOURCE} to {DESTINATION} {says}"
    cells = {(r["name"], c["port"]): c for r in document["routers"] for c in r["services"]}
    assert cells["dc-fw", 22]["rule"]["line"] == 4
    assert cells["hq-core", 22]["rule"]["chains"] == ["FORWARD", "users-out"]
    assert cells["hq-core", 22]["rule"]["text"] == "-A users-out -j ACCEPT"


def test_its_fields_and_phases_are_documented(api: Api) -> None:
    page = (ROOT / "docs" / "detailed.md").read_text()
    document = api.result(api.submit("443", destination="8.8.8.8"))
    (service,) = document["services"]
    hop = service["hops"][0]
    named = set(re.findall(r"`(\w+)`", page)) | {"port", "protocol"}
    assert set(service) <= named
    assert set(hop) <= named
    assert set(hop["rule"]) == set(json.loads(re.findall(r"```json\n(.*?)```", page, re.S)[0]))
    assert re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.M) == [(name, str(at)) for name, at in PHASES.items()]


def test_a_reply_that_is_stopped_is_called_so(api: Api) -> None:
    document = api.result(api.submit("80,81", destination="8.8.8.8"))
    http, other = document["services"]
    assert (http["result"], http["outcome"], http["blocked"], http["blocked_by"]) == (
        "NO",
        "TIMEOUT",
        "reply",
        ["edge"],
    )
    assert (
        "the request arrives, but the reply is dropped by edge, PREROUTING rule 3: -i eth1 -p tcp" in http["sentence"]
    )
    assert (other["outcome"], other["refused_by"], other["blocked"]) == ("UNREACHABLE", "edge", "request")
    masqueraded = next(hop for hop in http["hops"] if hop["nat"])
    assert (masqueraded["router"], masqueraded["direction"]) == ("edge", "request")
    assert masqueraded["nat"]["before"].startswith(f"{SOURCE}:")
    assert masqueraded["nat"]["after"].startswith("203.0.113.2:")


def test_a_destination_nobody_has_is_no_rules_fault(api: Api) -> None:
    document = api.result(api.submit("80", source="10.2.10.9", destination="10.2.250.7"))
    (service,) = document["services"]
    assert (service["result"], service["outcome"], service["blocked_by"]) == ("NO", "TIMEOUT", ["br-lan"])
    assert "10.2.250.7 is routed as on-link via br-lan:eth1, but is not in segment 10.2.10.0/24" in service["sentence"]
    assert [caveat for caveat in document["caveats"] if not caveat.startswith("forwarding is assumed")] == []


ELSEWHERE = {
    "both behind one gateway": ("203.0.113.77", "203.0.113.1", "behind the same gateway"),
    "one is the gateway": ("198.51.100.1", "8.8.8.8", "behind the same gateway"),
    "on the bench, but by way of the internet": (
        "10.2.10.9",
        "203.0.113.3",
        "edge's own address, but the packet leaves",
    ),
    "on another edge's segment": (
        "10.2.10.9",
        "203.0.113.1",
        "belongs to segment 203.0.113.0/29, but the packet leaves",
    ),
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_what_the_facts_do_not_tell_is_neither_yes_nor_no(api: Api, case: str) -> None:
    """Real hosts cannot be placed at the end of the path; without a blocking rule the result is unknown."""
    source, destination, why = ELSEWHERE[case]
    document = api.result(api.submit("80,icmp", source=source, destination=destination))
    for service in document["services"]:
        assert service["result"] in ("NO", "UNKNOWN")
        assert service["blocked_by"] or why in service["sentence"], service["sentence"]
        assert service["outcome"] != "CONNECTED"


def test_the_command_line_prints_it(system: System, record: Ledger) -> None:
    done = system.run("submit", SOURCE, DESTINATION, MIXED, "--mode", "detailed", "--wait")
    assert done.returncode == 1, done
    assert f"{SOURCE} → {DESTINATION}  NO" in done.stdout
    assert "22/tcp from 10.1.10.20 to 10.3.20.8 is blocked by dc-fw, policy DROP of FORWARD" in done.stdout
    run = record.runs(limit=1)[0][0]
    as_json = system.run("show", run.id, "--json")
    assert json.loads(as_json.stdout) == json.loads(encode(published(read(stored(record, run.id) or {}))))
    assert as_json.returncode == 1


EXITS = {
    "all connect": (SOURCE, "443,icmp", 0),
    "one is stopped": (SOURCE, "443,22", 1),
    "no answer": (UNANSWERED, "443", 3),
}


@pytest.mark.parametrize("case", EXITS)
def test_the_exit_code(system: System, record: Ledger, case: str) -> None:
    source, services, code = EXITS[case]
    done = system.run("submit", source, DESTINATION, services, "--mode", "detailed", "--wait", "--json")
    assert done.returncode == code, done
    assert json.loads(done.stdout)["verdict"] == {0: "YES", 1: "NO", 3: "UNKNOWN"}[code]


def test_fifty_services_in_one_run_and_no_more(system: System, api: Api, record: Ledger) -> None:
    document = api.result(api.submit("9001-9049,443"))
    assert [service["result"] for service in document["services"]] == ["NO"] * 49 + ["YES"]
    before = record.runs()[1]
    body = {"source": SOURCE, "destination": DESTINATION, "services": "1-51", "mode": "detailed"}
    status, problem = api.call("POST", "/runs", body)
    assert (status, [error["field"] for error in problem["errors"]]) == (422, ["services"])
    assert "50" in problem["detail"]
    done = system.run("submit", SOURCE, DESTINATION, "1-51", "--mode", "detailed")
    assert (done.returncode, done.stdout) == (2, "")
    assert "at most 50" in done.stderr
    assert record.runs()[1] == before


def test_the_source_port_is_the_one_asked_for(api: Api) -> None:
    body = {"source": SOURCE, "destination": DESTINATION, "services": "443", "mode": "detailed", "source_port": 31337}
    run = api.call("POST", "/runs", body)[1]
    assert api.result(run["id"])["source_port"] == 31337


def test_its_log_goes_through_the_phases(api: Api, record: Ledger) -> None:
    last = record.last_event_id()
    run_id = api.submit()
    api.result(run_id)
    status, log = api.call("GET", f"/runs/{run_id}/log")
    assert status == 200
    entries = LogDocument.model_validate(log).entries
    assert [entry.phase for entry in entries] == list(PHASES)
    assert all(a.percent < b.percent and a.ms <= b.ms for a, b in itertools.pairwise(entries))
    assert entries[-1].percent < 100
    assert "dc-core" in next(entry.message for entry in entries if entry.phase == "lock")
    events = [event for event in api.events(last, until="finished") if event["run_id"] == run_id]
    assert [event["kind"] for event in events] == ["submitted", "promoted", "begun", *["progress"] * 7, "finished"]
    phases = [(event["phase"], int(event["percent"])) for event in events if event["kind"] == "progress"]
    assert phases == [(entry.phase, entry.percent) for entry in entries]


def test_whoever_waits_sees_how_far_it_is(system: System, record: Ledger) -> None:
    done = system.run("submit", UNANSWERED, DESTINATION, "443", "--mode", "detailed", "--wait")
    assert "running, 50 %: 1 connection" in done.stderr


def test_what_is_stopped_needs_no_waiting(api: Api) -> None:
    began = time.monotonic()
    document = api.result(api.submit("22,25,53/udp", source=UNANSWERED))
    assert {service["outcome"] for service in document["services"]} <= {"TIMEOUT", "REFUSED"}
    assert document["timing_ms"]["connections"] < min(1900, patience(500)), "it would be 2000 if they had waited"
    assert time.monotonic() - began < patience(1.5)


def test_what_vanishes_ends_with_its_time_and_is_not_called_blocked(api: Api) -> None:
    document = api.result(api.submit("22,443,icmp", source=UNANSWERED))
    ssh, https, ping = document["services"]
    assert [service["result"] for service in (ssh, https, ping)] == ["NO", "UNKNOWN", "UNKNOWN"]
    assert [service["outcome"] for service in (https, ping)] == ["TIMEOUT", "TIMEOUT"]
    assert https["reply_path"][-1] == "hq-core"
    assert not https["blocked_by"]
    assert "hq-core sends the reply to 10.1.10.99 on eth1" in https["sentence"]
    assert 1900 < document["timing_ms"]["connections"] < patience(3500)


def test_the_bench_shows_what_the_run_holds(system: System, api: Api, record: Ledger) -> None:
    def looked_at() -> tuple[str, BenchReport, str, dict[str, str]]:
        run_id = api.submit("443,icmp", source=UNANSWERED)
        wait_until(lambda: run_id in reported(record).locks.values(), 5, "it is reported")
        status = reported(record)
        text, published = system.run("bench", "status").stdout, api.call("GET", "/bench")[1]["status"]["locks"]
        return run_id, status, re.sub(" +", " ", text), published

    run_id, status, text, published = looked_at()
    while record.run(run_id).state is not State.RUNNING:  # it ended before all was looked at, on a slow machine
        run_id, status, text, published = looked_at()
    assert {host.address: list(host.references) for host in status.hosts} == {
        UNANSWERED: [run_id],
        DESTINATION: [run_id],
    }
    assert set(status.locks.values()) == {run_id}
    assert {"hq-core", "dc-core", "wan-1", "wan-2"} <= set(status.locks)
    assert f"{UNANSWERED} (segment 10.1.10.0/24): 1 reference by run {run_id[:8]}" in text
    assert f"locked run {run_id[:8]} has dc-core, dc-fw, dc-gw, hq-core, hq-gw, wan-1, wan-2" in text
    assert published == status.locks
    ended(record, run_id, State.DONE)
    wait_until(lambda: (reported(record).hosts, reported(record).locks) == ((), {}), 3, "all is given back")
    assert "locked" not in system.run("bench", "status").stdout


def test_cancel_while_it_waits(api: Api, record: Ledger) -> None:
    first = api.submit("443", source=UNANSWERED)
    running(record, first)
    second = api.submit("443")
    wait_until(lambda: record.run(second).wait_code == "detailed-running", 3, "it says why it waits")
    assert api.call("DELETE", f"/runs/{second}")[1]["state"] == "cancelled"
    assert ended(record, first, State.DONE).verdict == "UNKNOWN"
    assert record.run(second).state is State.CANCELLED
    assert record.log(second) == []


def test_cancel_while_it_connects(system: System, api: Api, record: Ledger) -> None:
    run_id = api.submit("443,icmp", source=UNANSWERED)
    running(record, run_id, "connect")
    asked = time.monotonic()
    assert api.call("DELETE", f"/runs/{run_id}")[1]["cancelling"]
    ended(record, run_id, State.CANCELLED)
    assert time.monotonic() - asked < patience(1.5)
    assert api.call("GET", f"/runs/{run_id}/result")[1]["type"] == "urn:reachq:problem:no-result"
    assert system.run("show", run_id).returncode == 4
    assert api.result(api.submit("443"))["verdict"] == "YES"


def test_cancel_at_any_moment(api: Api, record: Ledger) -> None:
    """From before the dispatcher has seen it to after the result; each run ends in one way, and the next is not
    disturbed.
    """
    for pause_ms in (0, 3, 8, 15, 25, 40, 60):
        run_id = api.submit("443,icmp", source=UNANSWERED)
        due = time.monotonic() + pause_ms / 1000
        wait_until(lambda due=due: time.monotonic() >= due, 1, "its moment")  # type: ignore[misc]
        assert api.call("DELETE", f"/runs/{run_id}")[0] == 202
        ended(record, run_id, State.CANCELLED)
        assert history.count(record, Kind.FINISHED)[run_id] == 0
    assert api.result(api.submit())["verdict"] == "NO"


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    with Parts(settings) as started:
        started.dispatcher()
        yield started


def with_a_bench(parts: Parts, ledger: Ledger, tmp_path: Path, **settings: object) -> BenchClient:
    """A bench where answers to UNANSWERED are lost, and one worker of each mode with these settings."""
    address = f"@reachq-{tmp_path.name}-{tmp_path.parent.name}"
    parts.start("netlab", "--network", str(lossy_campus(tmp_path / "network")), "--socket", address)
    parts.start("workers", quick=1, detailed=1, bench_socket=address, **settings)
    wait_until(lambda: parts.alive() == 2, 10, "the workers are there")
    return BenchClient(address, 5)


def test_a_run_that_takes_too_long_is_ended(parts: Parts, ledger: Ledger, tmp_path: Path) -> None:
    bench = with_a_bench(parts, ledger, tmp_path, run_timeout_s=1)
    run = ledger.submit(a_request(Mode.DETAILED, "443", source=UNANSWERED))[0]
    failed = parts.in_state(run, State.FAILED)
    assert failed.error == "timed out after 1 s"
    wait_until(lambda: bench.status().locks == {} and bench.status().hosts == (), 1, "the bench has put all back")
    after = ledger.submit(a_request(Mode.DETAILED, "443"))[0]
    assert parts.in_state(after, State.DONE).verdict == "YES"


@pytest.mark.parametrize("rules", [True, False])
def test_rules_of_quick_runs_can_be_left_out(parts: Parts, ledger: Ledger, tmp_path: Path, rules: bool) -> None:
    with_a_bench(parts, ledger, tmp_path, **({} if rules else {"quick_rules": "false"}))
    run = ledger.submit(a_request(Mode.QUICK, "22,443"))[0]
    parts.in_state(run, State.DONE)
    result = stored(ledger, run.id)
    assert result is not None
    read(result)
    cells = [cell for router in result["routers"] for cell in router["services"]]
    stopped = [cell for cell in cells if cell["result"] == "NO"]
    assert len(stopped) == 2
    assert ["rule" in cell for cell in stopped] == [rules, rules]
    assert not any("rule" in cell for cell in cells if cell["result"] == "YES")
    assert [service["blocked_by"] for service in result["services"]] == [["dc-fw", "dc-core"], []]
    assert not rules or [cell["rule"]["verdict"] for cell in stopped] == ["DROP", "REJECT"]
