"""Comparisons of snapshots over HTTP: asked, waited for, reported, filtered, judged and removed; the management flows."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
import redis

from ledger.people.records import UserRole
from ledger.runs.run import State
from ledger.settings import Settings
from ledger.snapshots.records import SnapshotState
from ledger.store import Ledger
from tests.support.attacks import FORM, PAGE, problem_of
from tests.support.compared import AFTER, BEFORE, BLOCKED, a_change, answer, answer_both, push, two_snapshots
from tests.support.people import Person, person
from tests.support.results import answer_with
from tests.support.runs import running
from tests.support.stand_in_pool import answered
from tests.support.web import Reply, Web

ROWS = "10.1.10.20, 10.3.20.8, 22,443\n10.1.10.21, 10.3.20.8, 22\n"
FLOW = "10.1.99.10, 10.3.20.1, 22"
NONE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def people(web: Web, ledger: Ledger) -> dict[str, Person]:
    return {role: person(ledger, f"{role}-1", role) for role in UserRole}


@pytest.fixture
def snapshots(web: Web, ledger: Ledger) -> tuple[str, str]:
    return two_snapshots(ledger)


def ask(web: Web, query: str = "", who: Person | None = None, **fields: Any) -> Reply:
    body = {"after": AFTER, "rows": ROWS} | fields
    more = {"headers": who.program(), "token": None} if who else {}
    return web.call("POST", f"/api/changes{query}", body, **more)  # type: ignore[arg-type]


def finished(web: Web, ledger: Ledger, **fields: Any) -> str:
    """Ask ROWS; the service on line 2 is lost. Returns the id."""
    change_id = str(ask(web, **fields).json["id"])
    answer_both(ledger, ledger.change(change_id), after={2: BLOCKED})
    return change_id


def test_rows_are_asked_in_both_snapshots(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    reply = ask(web, note="ticket 7")
    document = reply.json
    assert (reply.status, reply.headers["location"]) == (202, f"/api/changes/{document['id']}")
    assert (document["before"], document["after"], document["questions"]) == (BEFORE, AFTER, 2)
    assert (document["note"], document["user"], document["guarded"]) == ("ticket 7", "api", [])
    assert (document["answered"], document["finished"], document["problem"]) == (0, False, "")
    assert [question.line for question in ledger.questions(document["runs_before"][0])] == [1, 2]
    assert web.get(reply.headers["location"]).json["id"] == document["id"]
    assert [one["id"] for one in web.get("/api/changes").json["changes"]] == [document["id"]]
    assert web.get("/api/changes?limit=0").status == 422


def test_a_snapshot_may_be_named_by_the_start_of_its_hash(web: Web, snapshots: tuple[str, str]) -> None:
    assert ask(web, before=BEFORE[:4], after=AFTER[:6]).json["after"] == AFTER


def test_recent_questions_are_asked(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    run = running(ledger)
    ledger.finish(run.id, run.token, answer_with(answered(run)))
    assert ask(web, rows="").json["questions"] == 1
    assert ask(web, recent=5).json["questions"] == 3
    assert ask(web, recent=2001).status == 422


def test_without_any_question_nothing_is_asked(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    reply = ask(web, rows="# nothing\n")
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "rows")
    assert "no question to ask" in reply.json["detail"]
    assert ledger.runs()[1] == 0


def test_each_wrong_row_is_named(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    rows = "10.1.10.20, 10.3.20.8, 22\nx, 10.3.20.8, http3\n10.1.10.20, 10.3.20.8, 22, detailed\n"
    reply = ask(web, rows=rows)
    assert reply.status == 422
    assert [error["field"] for error in reply.json["errors"]] == ["rows.2", "rows.2", "rows.3"]
    assert "only quick tests" in reply.json["errors"][2]["message"]
    assert ledger.runs()[1] == 0


def test_very_many_rows_may_be_sent(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    """More than 64 KiB, in contrast to other requests; but not without limit."""
    rows = "".join(f"10.1.{number // 200}.{number % 200 + 1}, 10.3.20.8, 22\n" for number in range(5000))
    assert len(rows) > 100_000
    assert ask(web, rows=rows).json["questions"] == 5000
    assert ask(web, rows="#" * (2 << 20)).status == 413


@pytest.mark.parametrize("path", ["/changes", "/networks/main/changes", "/many"])
def test_very_many_rows_may_be_typed(
    web: Web, people: dict[str, Person], snapshots: tuple[str, str], path: str
) -> None:
    rows = "".join(f"10.1.{number // 200}.{number % 200 + 1}, 10.3.20.8, 22\n" for number in range(5000))
    body = urlencode({"rows": rows, "before": BEFORE, "after": AFTER}).encode()
    headers = people[UserRole.USER].browser() | PAGE | FORM
    assert web.call("POST", path, body, headers, token=None).status in (200, 303)
    padded = body + b"&note=" + b"x" * (2 << 20)
    assert web.call("POST", path, padded, headers, token=None).status == 413


def test_twice_the_same_snapshot_is_refused(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    reply = ask(web, after="current")
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "after")
    assert "same snapshot" in reply.json["detail"]
    assert ledger.runs()[1] == 0


@pytest.mark.parametrize("state", [SnapshotState.REFUSED, SnapshotState.CHECKING])
def test_a_snapshot_that_cannot_be_asked(web: Web, ledger: Ledger, snapshots: tuple[str, str], state: str) -> None:
    facts = push(ledger, "c" * 12, SnapshotState(state))
    reply = ask(web, after=facts)
    assert (reply.status, problem_of(reply)) == (409, "snapshot-not-ready")
    assert {run.state for run in ledger.runs()[0]} <= {State.CANCELLED}


@pytest.mark.parametrize("fields", [{"after": "0" * 12}, {"before": "zz"}, {"after": ""}])
def test_an_unknown_snapshot(web: Web, snapshots: tuple[str, str], fields: dict[str, Any]) -> None:
    reply = ask(web, **fields)
    assert (reply.status, problem_of(reply)) == (404, "snapshot-not-found")


def test_an_unknown_comparison(web: Web, snapshots: tuple[str, str]) -> None:
    for method, rest in (
        ("GET", ""),
        ("GET", "/report"),
        ("GET", "/report.csv"),
        ("GET", "/report.md"),
        ("DELETE", ""),
    ):
        for change_id in (NONE, "current", "a" * 300):
            reply = web.call(method, f"/api/changes/{change_id}{rest}")
            assert (reply.status, problem_of(reply)) == (404, "change-not-found"), (method, rest)


def test_it_can_be_waited_for(web: Web, settings: Settings, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    change_id = str(ask(web).json["id"])
    with working(settings, change_id):
        document = web.get(f"/api/changes/{change_id}?wait=30").json
    assert (document["finished"], document["answered"]) == (True, 4)
    assert ask(web, "?wait=1").json["finished"] is False
    assert web.get(f"/api/changes/{change_id}?wait=100").status == 422


def test_a_wait_ends_when_there_will_be_no_report(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    document = ask(web).json
    ledger.cancel(document["runs_after"][0], by="ada")
    document = web.get(f"/api/changes/{document['id']}?wait=30").json
    assert "was cancelled" in document["problem"]


@contextmanager
def working(settings: Settings, change_id: str) -> Iterator[None]:
    """A worker that answers all questions of a comparison in the background."""

    def work() -> None:
        with Ledger.connect(settings) as ledger:
            answer_both(ledger, ledger.change(change_id))

    thread = threading.Timer(0.3, work)
    thread.start()
    yield
    thread.join()


def test_there_is_no_report_before_the_end(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    document = ask(web).json
    answer(ledger, document["runs_before"], BEFORE)
    for rest in ("report", "report.csv", "report.md"):
        reply = web.get(f"/api/changes/{document['id']}/{rest}")
        assert (reply.status, problem_of(reply)) == (409, "no-report")
        assert "2 of 4 questions are answered" in reply.json["detail"]


def test_the_report(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    at = f"/api/changes/{finished(web, ledger)}"
    assert web.get(at).json["finished"] is True
    report = web.get(f"{at}/report").json
    assert report["impact"]["summary"] == "1 cell lost, 2 the same (3 cells of 2 questions)"
    (cell,) = report["impact"]["cells"]
    assert (cell["kind"], cell["line"], cell["after"]["blocked_by"]) == ("lost", 2, ["dc-fw"])
    assert (report["expected"], report["judgement"]["exit_code"]) == (False, 1)
    assert report["impact"]["changes"]["summary"].startswith("1 router changed")


def test_the_report_as_csv_and_markdown(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    at = f"/api/changes/{finished(web, ledger)}"
    table = web.get(f"{at}/report.csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(table.body.decode()))
    assert (row["class"], row["line"], row["result_after"]) == ("lost", "2", "NO")
    text = web.get(f"{at}/report.md")
    assert text.headers["content-type"] == "text/markdown; charset=utf-8"
    assert "| 2 | <code>10.1.10.21</code> |" in text.body.decode()


@pytest.mark.parametrize(
    ("query", "cells"),
    [
        ("kind=lost", 1),
        ("kind=gained,rerouted", 0),
        ("router=dc-fw", 1),
        ("router=edge", 0),
        ("address=10.1.10.0/24", 1),
        ("address=10.9.0.0/16", 0),
        ("services=22", 1),
        ("services=443&kind=lost", 0),
    ],
)
def test_a_filter_lists_some_cells_and_counts_all(
    web: Web, ledger: Ledger, snapshots: tuple[str, str], query: str, cells: int
) -> None:
    report = web.get(f"/api/changes/{finished(web, ledger)}/report?{query}").json
    assert len(report["impact"]["cells"]) == cells
    assert report["impact"]["counts"]["lost"] == 1
    assert report["impact"]["filter"]
    assert report["judgement"]["exit_code"] == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kind=worse", "kind"),
        ("address=10.1.10.1/24", "address"),
        ("address=x", "address"),
        ("services=http3", "services"),
        ("router=" + "x" * 65, "router"),
        ("other=1", "other"),
    ],
)
def test_a_wrong_filter_is_refused(
    web: Web, ledger: Ledger, snapshots: tuple[str, str], query: str, field: str
) -> None:
    change_id = finished(web, ledger)
    for form in ("report", "report.csv", "report.md"):
        reply = web.get(f"/api/changes/{change_id}/{form}?{query}")
        assert (reply.status, [error["field"] for error in reply.json["errors"]]) == (422, [field])


def test_an_expectation_is_judged(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    text = "version: 1\nlost:\n  - {from: 10.1.10.0/24, to: 10.3.20.8, services: 22}\n"
    entries = {"fits": text, "does not": text.replace("lost", "gained")}
    found = {
        name: web.get(f"/api/changes/{finished(web, ledger, expectation=given)}/report").json
        for name, given in entries.items()
    }
    assert (found["fits"]["expected"], found["fits"]["judgement"]["exit_code"]) == (True, 0)
    judgement = found["does not"]["judgement"]
    assert (judgement["exit_code"], len(judgement["unexpected"]), len(judgement["missing"])) == (1, 1, 1)


@pytest.mark.parametrize(
    "text", ["version: 2\n", "lost: any\n", "version: 1\nlost: [", "version: 1\nbroken: any\n", " "]
)
def test_an_invalid_expectation_is_refused(web: Web, ledger: Ledger, snapshots: tuple[str, str], text: str) -> None:
    reply = ask(web, expectation=text)
    assert reply.status == 422
    assert "expectation:" in reply.json["detail"]
    assert ledger.runs()[1] == 0


def test_a_lock_out_is_reported(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    assert web.call("PUT", "/api/management-flows", {"rows": FLOW}).status == 200
    document = ask(web, expectation="version: 1\nlost: any\n").json
    assert document["guarded"] == [3]
    answer_both(ledger, ledger.change(document["id"]), after={3: BLOCKED})
    report = web.get(f"/api/changes/{document['id']}/report").json
    assert report["impact"]["counts"]["lock_outs"] == 1
    assert report["judgement"]["lock_outs"][0]["source"] == "10.1.99.10"
    assert report["judgement"]["exit_code"] == 1
    assert report["impact"]["summary"].startswith("possible lock-out")


def test_management_flows_are_read_and_set(web: Web, people: dict[str, Person]) -> None:
    assert web.get("/api/management-flows").json == {"rows": ""}
    assert web.call("PUT", "/api/management-flows", {"rows": FLOW}).json == {"rows": FLOW}
    for role in UserRole:
        reply = web.get("/api/management-flows", headers=people[role].program(), token=None)
        assert reply.json == {"rows": FLOW}
    assert web.call("PUT", "/api/management-flows", {"rows": ""}).json == {"rows": ""}


@pytest.mark.parametrize(
    ("rows", "field"), [("x", "rows.1"), (f"{FLOW}\n{FLOW}, detailed", "rows.2"), (f"{FLOW}\n" * 501, "rows")]
)
def test_wrong_management_flows_are_refused(web: Web, untouched: None, rows: str, field: str) -> None:
    reply = web.call("PUT", "/api/management-flows", {"rows": rows})
    assert reply.status == 422
    assert reply.json["errors"][0]["field"] == field


def test_what_each_role_may_do(web: Web, people: dict[str, Person], ledger: Ledger, snapshots: tuple[str, str]) -> None:
    """Users see and remove only their own comparisons, as it is for runs; viewers see all of them; admins do everything."""
    viewer, user, admin = (people[role] for role in (UserRole.VIEWER, UserRole.USER, UserRole.ADMIN))
    other = person(ledger, "user-2", UserRole.USER)
    assert ask(web, who=viewer).status == 403
    own = ask(web, who=user)
    assert own.status == 202
    at = own.headers["location"]
    answer_both(ledger, ledger.change(own.json["id"]))
    for who, status in ((user, 200), (viewer, 200), (admin, 200), (other, 404)):
        for rest in ("", "/report", "/report.csv", "/report.md"):
            reply = web.get(at + rest, headers=who.program(), token=None)
            assert reply.status == status, (who.name, rest)
        listed = web.get("/api/changes", headers=who.program(), token=None).json["changes"]
        assert len(listed) == (status == 200)
        page = web.get(at.removeprefix("/api"), headers=who.browser() | PAGE, token=None)
        assert page.status == status
    assert web.call("DELETE", at, headers=viewer.program(), token=None).status == 403
    assert web.call("DELETE", at, headers=other.program(), token=None).status == 404
    form = other.browser() | PAGE | FORM
    assert web.call("POST", f"{at.removeprefix('/api')}/remove", b"", form, token=None).status == 404
    assert web.call("PUT", "/api/management-flows", {"rows": FLOW}, user.program(), token=None).status == 403
    assert web.call("DELETE", at, headers=user.program(), token=None).status == 200
    again = ask(web, who=user).headers["location"]
    assert web.call("DELETE", again, headers=admin.program(), token=None).status == 200


def test_a_user_asks_only_own_recent_questions(
    web: Web, people: dict[str, Person], ledger: Ledger, snapshots: tuple[str, str]
) -> None:
    """The report would otherwise show other users' runs."""
    run = running(ledger)
    ledger.finish(run.id, run.token, answer_with(answered(run)))
    assert ask(web, who=people[UserRole.USER], rows="").status == 422
    assert ask(web, who=people[UserRole.ADMIN], rows="").json["questions"] == 1


def test_removing_cancels_the_unfinished_runs(web: Web, ledger: Ledger, snapshots: tuple[str, str]) -> None:
    document = ask(web).json
    answer(ledger, document["runs_before"], BEFORE)
    removed = web.call("DELETE", f"/api/changes/{document['id']}")
    assert (removed.status, removed.json["answered"]) == (200, 2)
    runs = [*document["runs_before"], *document["runs_after"]]
    assert [ledger.run(run).state for run in runs] == [State.DONE, State.CANCELLED]
    assert web.call("DELETE", f"/api/changes/{document['id']}").status == 404


def test_damage_is_no_internal_error(
    web: Web, ledger: Ledger, client: redis.Redis, people: dict[str, Person], snapshots: tuple[str, str]
) -> None:
    good, other = finished(web, ledger), ledger.add_change(a_change(1)).id
    result = f"reachq:run:{ledger.change(good).runs_after[0]}:result"
    assert client.exists(result)
    kept = client.dump(result)
    client.set(result, "{}") if client.type(result) == "string" else client.delete(result)
    for path in (f"/api/changes/{good}/report", f"/api/changes/{good}/report.csv", f"/api/changes/{other}/report"):
        assert web.get(path).status == 409, path
    for path in (f"/changes/{good}", f"/changes/{other}", "/changes"):
        page = web.get(path, headers=people[UserRole.ADMIN].browser() | PAGE, token=None)
        assert page.status == 200, path
    client.delete(result)
    client.restore(result, 0, kept)  # type: ignore[arg-type]
    client.hset(f"reachq:main:change:{other}", "questions", "x")
    assert web.get(f"/api/changes/{other}").status == 404
    assert [one["id"] for one in web.get("/api/changes").json["changes"]] == [good]
    ledger.remove_snapshot(AFTER, by="ada")
    assert web.get(f"/api/changes/{good}/report").status == 404
    page = web.get(f"/changes/{good}", headers=people[UserRole.ADMIN].browser() | PAGE, token=None)
    assert page.status == 200
    assert f"There is no snapshot {AFTER}" in unescape(page.body.decode())
