"""A run's page as served: the offered next steps for each role, and its texts while the run waits and after it ended."""

from __future__ import annotations

from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
import redis

from ledger.runs.records import Choice
from ledger.runs.requests import DETAILED_SERVICES_MAX
from ledger.runs.run import Mode, Run
from ledger.store import Ledger
from tests.support.attacks import FORM, PAGE
from tests.support.people import Person, person
from tests.support.results import answer_with, document, router, sample, service
from tests.support.runs import a_request, all_up, leading, submitted
from tests.support.waiting import wait_until
from tests.support.web import Reply, Web


@pytest.fixture
def admin(web: Web, ledger: Ledger) -> Person:
    return person(ledger, "ada", "admin")


@pytest.fixture
def berta(web: Web, ledger: Ledger) -> Person:
    return person(ledger, "berta", "user")


def answered(ledger: Ledger, result: dict[str, Any], *, user: str = "ada") -> Run:
    """A run with this result, with the services that the result contains."""
    mode = Mode(result["mode"])
    services = ",".join(f"{s['port']}/{s['protocol']}" if s["port"] else s["protocol"] for s in result["services"])
    run, _ = ledger.submit(a_request(mode, services, destination=result["destination"]), user=user)
    ledger.announce("w", f"main-{mode}-0", mode, 1)
    ledger.promote(leading(ledger), [Choice(run.id, mode, f"main-{mode}-0")])
    begun = ledger.begin(run.id, "w")
    assert begun is not None
    ledger.finish(run.id, begun.token, answer_with(result))
    return begun


def page(web: Web, who: Person, path: str) -> str:
    """The page's markup, with entities decoded."""
    answer = web.get(path, headers=who.browser() | PAGE, token=None)
    assert answer.status == 200, answer.body
    return unescape(answer.body.decode())


def send(web: Web, who: Person, path: str, **form: str) -> Reply:
    body = urlencode({"csrf": who.session.csrf, **form}).encode()
    return web.call("POST", path, body, who.browser(csrf=False) | FORM | PAGE, token=None)


def next_run(web: Web, who: Person, ledger: Ledger, run: Run, **form: str) -> Run:
    """The run that the button creates."""
    answer = send(web, who, f"/runs/{run.id}/find-rule", **form)
    assert answer.status == 303, answer.body
    return ledger.run(answer.headers["location"].rpartition("/")[2])


def names(run: Run) -> list[str]:
    return [str(one) for one in run.services]


# what is offered next


def test_what_is_blocked_is_asked_in_detail(web: Web, admin: Person, ledger: Ledger) -> None:
    run = answered(ledger, sample("quick"))
    text = page(web, admin, f"/runs/{run.id}")
    assert "Run detailed test" in text
    assert "Test the return path too" not in text
    new = next_run(web, admin, ledger, run)
    assert (new.mode, names(new)) == (Mode.DETAILED, ["22/tcp", "53/udp"])
    assert names(next_run(web, admin, ledger, run, services="53/udp")) == ["53/udp"]


def test_of_a_quick_yes_the_reply_can_be_checked_too(web: Web, admin: Person, ledger: Ledger) -> None:
    cells = {"80/tcp": "YES", "icmp": "YES"}
    run = answered(ledger, document([service(name, "YES") for name in cells], [router("r", 1, cells)]))
    text = page(web, admin, f"/runs/{run.id}")
    assert "Test the return path too" in text
    assert "(return path not tested)" in text
    assert text.count("forward path</") >= 4, "beside the verdict, the picture's, and in the matrix"
    assert names(next_run(web, admin, ledger, run)) == ["80/tcp", "icmp"]


def test_no_more_services_than_a_detailed_run_takes(web: Web, admin: Person, ledger: Ledger) -> None:
    cells = {f"{port}/tcp": "YES" for port in range(100, 160)}
    run = answered(ledger, document([service(name, "YES") for name in cells], [router("r", 1, cells)]))
    assert f"for the first {DETAILED_SERVICES_MAX} services" in page(web, admin, f"/runs/{run.id}")
    assert len(next_run(web, admin, ledger, run).services) == DETAILED_SERVICES_MAX


def test_a_detailed_run_offers_no_other(web: Web, admin: Person, ledger: Ledger) -> None:
    text = page(web, admin, f"/runs/{answered(ledger, sample('detailed')).id}")
    assert "find-rule" not in text
    assert "further along the path" in text


def test_redis_is_for_admins_to_look_into(web: Web, admin: Person, berta: Person, ledger: Ledger) -> None:
    run = answered(ledger, sample("quick"), user="berta")
    assert "redis-cli" in page(web, admin, f"/runs/{run.id}")
    text = page(web, berta, f"/runs/{run.id}")
    assert "redis-cli" not in text
    assert "reachq submit" in text


def test_what_is_compared_has_two_answers(web: Web, admin: Person, ledger: Ledger) -> None:
    before = answered(ledger, sample("quick"))
    waiting, _ = ledger.submit(a_request(services="22,80"), user="ada")
    text = page(web, admin, f"/runs/{waiting.id}")
    assert f"/runs/{before.id}" in text
    assert "22/tcp, 80/tcp, 443/tcp, 53/udp, icmp" in text, "what was asked before"
    assert ">Compare<" not in text
    after = answered(ledger, sample("quick"))
    assert f"/compare?a={before.id}&b={after.id}" in page(web, admin, f"/runs/{after.id}")


# texts


def test_what_is_copied_says_where_it_comes_from(web: Web, admin: Person, ledger: Ledger) -> None:
    run = answered(ledger, sample("quick"))
    text = page(web, admin, f"/runs/{run.id}")
    copied = text.partition('id="all-said"')[2].partition(">")[2].partition("</div>")[0].splitlines()
    assert copied[0].startswith("22/tcp from 10.1.10.20 to 10.3.20.8 is blocked by dc-fw, policy DROP of FORWARD (")
    assert copied[-1].startswith("reachq, 20")
    assert copied[-1].endswith(f"http://127.0.0.1:{web.port}/runs/{run.id}")


def test_a_run_that_waits_while_the_bench_is_paused(web: Web, admin: Person, ledger: Ledger) -> None:
    run = submitted(ledger)
    ledger.explain({run.id: ("paused", "the bench is paused by ada")})
    dead = page(web, admin, f"/runs/{run.id}")
    assert "<dd data-eta>unknown: runs of this mode cannot start now</dd>" in dead
    assert '<strong data-wait title="paused">No dispatcher leads.</strong>' in dead

    def shows(text: str) -> bool:
        all_up(ledger)
        return text in page(web, admin, f"/runs/{run.id}")

    wait_until(lambda: shows("<dd data-eta>in "), 10, "the page says when its turn is")
    ledger.pause("ada", "an upgrade")
    wait_until(
        lambda: shows("<dd data-eta>when the bench resumes</dd>"), 10, "the page says that it waits for the pause"
    )
    all_up(ledger)
    markup = page(web, admin, f"/runs/{run.id}")
    assert '<strong data-wait title="paused">The bench is paused by ada: an upgrade.</strong></p>' in markup
    assert "<h2>Timeline</h2>" in markup


AMBIGUOUS = "10.9.0.1 could come in at several edges; asked br-gw:eth1, not edge:eth1"


def test_what_the_answer_hangs_on_stands_beside_it(web: Web, admin: Person, ledger: Ledger) -> None:
    result = sample("quick")
    (other,) = result["caveats"]
    text = page(web, admin, f"/runs/{answered(ledger, result | {'caveats': [AMBIGUOUS, other]}).id}")
    banner = text.partition('<div class="banner warn break">')[2].partition("</div>")[0]
    assert f"<p>{AMBIGUOUS}</p>" in banner
    kept = text.partition("Caveats")[2].partition("</section>")[0]
    assert other in kept.replace("<code>", "`").replace("</code>", "`")
    assert AMBIGUOUS not in kept


def test_rules_of_facts_that_are_no_longer_those_of_the_bench(web: Web, admin: Person, ledger: Ledger) -> None:
    run = answered(ledger, sample("quick"))
    assert "has changed since this run" not in page(web, admin, f"/runs/{run.id}")
    ledger.report_bench({"state": "up", "facts": sample("quick")["facts"]})
    assert "has changed since this run" not in page(web, admin, f"/runs/{run.id}")
    ledger.report_bench({"state": "up", "facts": "f" * 12})
    assert "has changed since this run" in page(web, admin, f"/runs/{run.id}")


def test_a_quick_and_a_detailed_run_side_by_side(web: Web, admin: Person, ledger: Ledger) -> None:
    cells = {"80/tcp": "YES"}
    routers = [router("hq-core", 1, cells), router("hq-gw", 2, cells), router("edge", 3, cells)]
    quick = answered(ledger, document([service("80/tcp", "YES")], routers, destination="8.8.8.8"))
    detailed = answered(ledger, sample("detailed-nat"))
    text = page(web, admin, f"/compare?a={quick.id}&b={detailed.id}")
    assert "Nothing that both runs tested has changed" in text
    assert "not tested by the quick run" in text
    assert "is now" not in text


# the start of an id


def test_the_start_of_an_id_leads_to_the_run(web: Web, admin: Person, berta: Person, ledger: Ledger) -> None:
    run = answered(ledger, sample("quick"), user="anna")
    for start in (run.id[:8], run.id[:13], run.id[:35]):
        answer = web.get(f"/runs/{start}", headers=admin.browser() | PAGE, token=None)
        assert (answer.status, answer.headers["location"]) == (302, f"/runs/{run.id}"), start
    for start in (run.id[:7], run.id[1:9], "0" * 8):
        assert web.get(f"/runs/{start}", headers=admin.browser() | PAGE, token=None).status == 404, start


def test_the_start_of_anothers_id(web: Web, berta: Person, ledger: Ledger) -> None:
    run = answered(ledger, sample("quick"), user="anna")
    texts = {
        web.get(f"/runs/{start}", headers=berta.browser() | PAGE, token=None).body.replace(start.encode(), b"")
        for start in (run.id[:8], "0" * 8)
    }
    assert len(texts) == 1, "it says more than of no run at all"


def test_a_start_that_fits_two_runs(web: Web, admin: Person, ledger: Ledger, client: redis.Redis) -> None:
    run = submitted(ledger)
    twin = f"{run.id[:8]}-0000-4000-8000-000000000000"
    ledger.submit(a_request(), run_id=twin)
    assert web.get(f"/runs/{run.id[:8]}", headers=admin.browser() | PAGE, token=None).status == 404
    assert web.get(f"/runs/{run.id[:13]}", headers=admin.browser() | PAGE, token=None).status == 302
