"""Servers and Sentinels with TLS, Redis users and a password of the Sentinels, as docs/operations.md describes."""

from __future__ import annotations

import contextlib
import re
import secrets
from pathlib import Path

import pytest

from ledger.errors import StoreUnavailable
from ledger.redis.acl import ROLES
from ledger.runs.run import Run
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support.runs import a_request
from tests.support.secured import REDIS_7, Certificates
from tests.support.sentinels import SERVICE, Watched
from tests.support.waiting import wait_until

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


def documented(pattern: str) -> str:
    """The rights that the document gives to a user."""
    found = re.search(pattern, re.sub(r"\s+", " ", DOCUMENT.read_text()))
    assert found, f"docs/operations.md does not match {pattern}"
    return found[1]


def test_a_failover_with_tls_users_and_a_password_of_the_sentinels(tmp_path: Path, certificates: Certificates) -> None:
    if REDIS_7 is None:
        pytest.skip("no redis-server here: Valkey's package has no TLS")
    passwords = {name: secrets.token_hex(8) for name in ("system", "replica", "sentinel", "sentinels")}
    for name, password in passwords.items():
        (tmp_path / name).write_text(f"{password}\n")
    of_replica = documented(r"`masteruser` and `masterauth` on each server: `([^`]+)`")
    of_sentinel = documented(r"`sentinel auth-user` and `sentinel auth-pass`: `([^`]+)`")
    (tmp_path / "users.acl").write_text(
        f"{ROLES['system'].rule(['main'], passwords['system'])}\n"
        f"user replica on >{passwords['replica']} {of_replica}\n"
        f"user sentinel on >{passwords['sentinel']} {of_sentinel}\n"
    )
    options = (
        "--masteruser",
        "replica",
        "--masterauth",
        passwords["replica"],
        "--aclfile",
        str(tmp_path / "users.acl"),
    )
    sentinel = {
        "requirepass": passwords["sentinels"],
        f"sentinel auth-user {SERVICE}": "sentinel",
        f"sentinel auth-pass {SERVICE}": passwords["sentinel"],
    }
    with Watched(3, "--min-replicas-to-write", "1", *options, tls=certificates, sentinel=sentinel) as watched:
        url = watched.url.replace("://", "://reachq-main-system@") + f"&sentinel_password_file={tmp_path / 'sentinels'}"
        settings = load_settings(redis_url=url, redis_password_file=str(tmp_path / "system"), data=tmp_path)
        with Ledger.connect(settings) as ledger:
            first, _ = ledger.submit(a_request())
            assert ledger.run(first.id) == first
            primary = watched.primary()
            primary.kill9()
            watched.replaced(primary)

            def accepted() -> Run | None:
                with contextlib.suppress(StoreUnavailable):
                    return ledger.submit(a_request())[0]
                return None

            run = wait_until(accepted, 30, "the new primary accepts a run")
            assert run is not None
            assert ledger.run(run.id) == run
        with watched.primary().client() as client:
            assert client.acl_log() == []
