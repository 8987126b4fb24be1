"""The sentence of a run is one text: on the page, in the CLI, in the API, in the ticket and in the page's JSON download."""

from __future__ import annotations

import html
import re

import click
import pytest

from app.answers import paths
from app.answers.sentences import sentences
from app.cli import render
from app.web.views.run import shown_result
from ledger.store import Ledger
from netlab.results.codec import decode
from tests.support.results import Document, answer_with, document, hop, policy, read, router, rule, sample, service
from tests.support.runs import running
from tests.support.web import Web

HOPS = [hop("gw", "request"), hop("gw", "reply")]


def detailed(*services: Document) -> Document:
    return document(list(services), mode="detailed")


RESULTS: list[Document] = [
    *(sample(name) for name in ("quick", "quick-many", "detailed", "detailed-nat")),
    document([service("22/tcp", "YES")]),
    document([service("22/tcp", "YES")], [router("gw", 1, {"22/tcp": "YES"})]),
    document([service("22/tcp", "NO")], [router("gw", 1, {"22/tcp": ("NO", rule())})]),
    document([service("22/tcp", "NO")], [router("gw", 1, {"22/tcp": ("NO", rule("-j REJECT", verdict="REJECT"))})]),
    document([service("22/tcp", "NO")], [router("gw", 1, {"22/tcp": ("NO", policy())})]),
    document([service("22/tcp", "NO", reason="gw: no route to 10.3.20.8")], [router("gw", 1, {"22/tcp": "NO"})]),
    document([service("22/tcp", "NO", reason="routing loop a → b → a")], [router("a", 1, {"22/tcp": "YES"})]),
    document([service("22/tcp", "UNKNOWN", reason="several far ends")], [router("gw", 1, {"22/tcp": "UNKNOWN"})]),
    document([service("22/tcp", "NO"), service("80/tcp", "YES"), service("icmp", "UNKNOWN")]),
    document([service("22/tcp", "NO", reason="<b>a & b</b>")]),
    detailed(service("22/tcp", "YES", hops=HOPS, latency_ms=0.5, outcome="CONNECTED")),
    detailed(service("22/tcp", "YES"), service("23/tcp", "YES", latency_ms=1.5)),
    detailed(service("22/tcp", "UNKNOWN", hops=HOPS[:1], outcome="TIMEOUT")),
    detailed(service("22/tcp", "UNKNOWN", hops=HOPS[:1], outcome="REFUSED", refused_by="10.3.20.8")),
    detailed(service("22/tcp", "NO", hops=[HOPS[0], hop("gw", "reply", "NO", rule=rule())], blocked="reply")),
    detailed(service("22/tcp", "NO", hops=[hop("gw", "request", "NO", rule=rule())], also_blocked_by=["core"],
                     blocked="request")),
]  # fmt: skip


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("number", range(len(RESULTS)))
def test_the_sentence_is_the_same_everywhere(web: Web, ledger: Ledger, number: int) -> None:
    run = running(ledger)
    assert ledger.finish(run.id, run.token, answer_with(RESULTS[number] | {"run_id": run.id}))
    from_api = web.get(f"/api/runs/{run.id}/result").json["sentences"]
    result = decode(ledger.result(run.id) or "")
    assert from_api == [sentence.text for sentence in sentences(result)]
    page = squeezed(html.unescape(re.sub(r"<[^>]*>", "", web.get(f"/runs/{run.id}").body.decode())))
    terminal = click.unstyle(render.result(result, width=100))
    ticket = shown_result(result).sentences
    for sentence, in_ticket in zip(from_api, ticket, strict=True):
        assert sentence in terminal
        assert sentence == in_ticket.text
        assert page.count(squeezed(sentence)) >= 2, "in the card and in the ticket to copy"


def test_there_are_twenty_of_them() -> None:
    assert len(RESULTS) == 20


def test_the_path_of_each_service_is_derived_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of 40 services: 40 derivations, though matrix, pictures, sentences and groups all use the paths."""
    calls: list[int] = []
    real = paths.service_path

    def counted(*given: object) -> object:
        calls.append(1)
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(paths, "service_path", counted)
    result = read(sample("quick-many"))
    shown_result(result)
    assert len(result.services) == 40
    assert len(calls) == 40
