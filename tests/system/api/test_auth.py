"""Authentication: a table of requests with and without the token; and the token file."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.people.token import load_or_create_token
from ledger.errors import SettingsError
from ledger.settings import Settings
from tests.support.web import TOKEN, Web


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


GUARDED = ["/api/runs", "/api/queue", "/api/lanes", "/api/limits", "/api/bench", "/api/hosts",
           "/api/events", "/api/nosuch", "/api", "/rq/",
           "/rq/0/data/queues.json", "/rq/nosuch", "/rq"]  # fmt: skip
REFUSED = [
    "", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN.upper()}",
    f"Token {TOKEN}", TOKEN, f"Bearer {TOKEN} {TOKEN}", "Bearer \xe9\xff", basic(TOKEN, ""), "Basic !!!", "Basic ",
]  # fmt: skip


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("header", REFUSED)
def test_without_the_token_nothing_is_told(web: Web, path: str, header: str) -> None:
    answer = web.call("GET", path, headers={"Authorization": header} if header else {}, token=None)
    assert answer.status == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].split()[0] == "Bearer"
    assert TOKEN not in answer.body.decode()


def test_the_token_does_not_count_in_the_address_or_a_cookie(web: Web) -> None:
    assert web.get(f"/api/runs?token={TOKEN}", token=None).status == 401
    assert web.get("/api/runs", headers={"Cookie": f"token={TOKEN}"}, token=None).status == 401
    assert (
        web.get("/api/runs", headers={"X_Authorization": TOKEN, "Http_Authorization": TOKEN}, token=None).status == 401
    )


def test_who_may_not_in_is_told_before_anything_is_read(web: Web) -> None:
    assert web.call("POST", "/api/runs", b"\xff not json", token=None).status == 401
    assert web.call("PATCH", "/api/runs", token=None).status == 401
    assert web.call("DELETE", "/api/runs/nosuch", token=None).status == 401


def test_with_the_token(web: Web) -> None:
    for path in ("/api/runs", "/rq/", "/rq/0/data/queues.json"):
        assert web.get(path).status == 200, path
        assert web.get(path, headers={"Authorization": f"bearer  {TOKEN} "}, token=None).status == 200, path
        assert web.get(path, headers={"Authorization": basic("anyone", TOKEN)}, token=None).status == 401, path


def test_health_and_the_description_are_for_everybody(web: Web) -> None:
    assert web.get("/healthz", token=None).status == 200
    assert web.get("/readyz", token=None).status == 503
    assert web.get("/api/openapi.json", token=None).status == 200


@pytest.mark.parametrize(
    "path", ["/api/runs", "/api/nosuch", "/healthz", "/nosuch", "/api/openapi.json", "/rq/", "/rq/nosuch"]
)
def test_every_answer_carries_the_headers(web: Web, path: str) -> None:
    for token in (TOKEN, None):
        headers = web.get(path, token=token).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        if headers["content-type"].startswith("text/html"):
            assert "default-src 'self'" in headers["content-security-policy"]
        else:
            assert headers["content-security-policy"].startswith("default-src 'none'")


def test_the_token_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "new" / "data")
    with ThreadPoolExecutor(16) as pool:
        tokens = set(pool.map(lambda _: load_or_create_token(settings), range(64)))
    assert len(tokens) == 1
    path = settings.data / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() == tokens.pop()
    assert list(settings.data.iterdir()) == [path]


def test_a_given_token_needs_no_file(tmp_path: Path) -> None:
    assert load_or_create_token(Settings(data=tmp_path / "no", token="given-token")) == "given-token"
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("token", ["short", "with space in it", "with\nnewline", "naïve-token", "user:password"])
def test_a_token_nobody_could_send(tmp_path: Path, token: str) -> None:
    with pytest.raises(SettingsError, match="REACHQ_TOKEN: a token must have at least 8"):
        load_or_create_token(Settings(data=tmp_path, token=token))
    (tmp_path / "token").write_text(token)
    (tmp_path / "token").chmod(0o600)
    with pytest.raises(SettingsError, match="token: a token must have at least 8"):
        load_or_create_token(Settings(data=tmp_path))


def test_a_token_file_others_can_read(tmp_path: Path) -> None:
    load_or_create_token(Settings(data=tmp_path))
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_or_create_token(Settings(data=tmp_path))


def test_a_data_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used for the token"):
        load_or_create_token(Settings(data=tmp_path / "file" / "data"))
