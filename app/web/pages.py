"""Creates all pages, each with only what it needs."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response

from app.http.problems import ERROR_PAGE, ApiProblem
from app.people.accounts import Accounts
from app.people.guard import Guard
from app.snapshots.network import CurrentNetwork
from app.web import links, shell
from app.web.views.account import AccountPages
from app.web.views.api_docs import ApiDocs
from app.web.views.ask import AskPages
from app.web.views.audit import AuditPages
from app.web.views.board import BoardPages
from app.web.views.bulk import BulkPages
from app.web.views.changes import ChangesPages
from app.web.views.glossary import GlossaryPage
from app.web.views.hosts import HostsPages
from app.web.views.network import NetworkPages
from app.web.views.networks import NetworksPages
from app.web.views.people import PeoplePages
from app.web.views.run import RunPages
from app.web.views.runs import RunsPages
from app.web.views.snapshots import SnapshotPages
from ledger.settings import Settings
from ledger.store import AppLedger


def mount_all(
    app: Flask, settings: Settings, ledger: AppLedger, accounts: Accounts, guard: Guard, openapi: dict[str, Any]
) -> None:
    """Add every page to `app`, and show errors to browsers as pages."""
    network = CurrentNetwork(ledger, settings)
    kinds = (
        AccountPages(accounts, guard),
        AskPages(ledger, settings, network),
        BulkPages(ledger),
        RunPages(ledger, settings),
        RunsPages(ledger),
        NetworkPages(ledger, network),
        SnapshotPages(ledger),
        ChangesPages(ledger),
        NetworksPages(ledger),
        BoardPages(ledger),
        HostsPages(ledger),
        PeoplePages(accounts),
        AuditPages(ledger),
        ApiDocs(openapi),
        GlossaryPage(),
    )
    shell.mount(app, [page for kind in kinds for page in kind.pages()], guard.permit)
    app.extensions[ERROR_PAGE] = _as_page
    app.extensions[shell.NETWORKS] = links.Selector(ledger)


def _as_page(problem: ApiProblem) -> Response:
    return shell.error_page(problem.status, str(problem), problem.errors)
