"""Which Redis URLs are accepted, and that no message shows a password."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.connection import SSLConnection
from redis.sentinel import SentinelConnectionPool

from ledger.errors import SettingsError
from ledger.redis import address
from ledger.settings import load_settings

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"http://u:{SECRET}@host", "is not a valid Redis URL"),
        (f"redis://u:{SECRET}@host:99999", "is not a valid Redis URL"),
        (f"redis://u:{SECRET}@host:port", "is not a valid Redis URL"),
        (f"u:{SECRET}@host:6379", "is not a valid Redis URL"),
        (f"redis://u:{SECRET}?x@host:6379", "is not a valid Redis URL"),
        (f"redis://u:{SECRET}#x@host:6379", "is not a valid Redis URL"),
        (f"redis://u@host:6379?password={SECRET}", "has the option 'password', which is not supported"),
        (f"redis://u:{SECRET}@host?socket_timeout=9", "has the option 'socket_timeout', which is not supported"),
        (f"redis://u:{SECRET}@host?ssl_ca_certs=/dev/null", "write rediss:// instead of redis://"),
        (f"rediss://u:{SECRET}@host?ssl_ca_certs=/none/ca.pem", "names '/none/ca.pem' as ssl_ca_certs"),
        (f"redis://u:{SECRET}@host?sentinel_password_file=/dev/null", "is only for redis+sentinel://"),
        ("redis:host", "is not a valid Redis URL"),
        (f"http+sentinel://u:{SECRET}@one/main", "or redis+sentinel://host:port,host:port,host:port/service"),
        (f"unix+sentinel://u:{SECRET}@one/main", "is not a valid Redis URL"),
        (f"redis+sentinel://u:{SECRET}@/main", "is not a valid Redis URL"),
        (f"redis+sentinel://u:{SECRET}@one,,two/main", "is not a valid Redis URL"),
        (f"redis+sentinel://u:{SECRET}@one:1,two:0/main", "is not a valid Redis URL"),
        (f"redis+sentinel://u:{SECRET}@one:1,two:x/main", "is not a valid Redis URL"),
        (f"redis+sentinel://u:{SECRET}@one:1,two:99999/main", "is not a valid Redis URL"),
        (f"redis+sentinel://u:{SECRET}#x@one/main", "is not a valid Redis URL"),
        (f"redis+sentinel://u:{SECRET}@one,two", "must name one service after the Sentinels"),
        (f"redis+sentinel://u:{SECRET}@one,two/", "must name one service after the Sentinels"),
        (f"redis+sentinel://u:{SECRET}@one,two/main/0", "and ?db=N for another database than 0"),
        (f"redis+sentinel://u:{SECRET}@one/main?socket_timeout=9", "has the option 'socket_timeout'"),
        (f"redis+sentinel://u:{SECRET}@one/main?ssl_ca_certs=/dev/null", "write rediss+sentinel:// instead of redis+"),
        (f"rediss+sentinel://u:{SECRET}@one/main?ssl_ca_certs=/none/ca.pem", "names '/none/ca.pem' as ssl_ca_certs"),
        (f"redis+sentinel://u:{SECRET}@one/main?sentinel_password_file=/none", "names '/none' as sentinel_password"),
        (f"redis+sentinel://u:{SECRET}@one/main?sentinel_password_file=/dev/null", "must hold the password on one"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(redis_url=url)
    assert str(refused.value).startswith("REACHQ_REDIS_URL: ")
    assert message in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://u:p%40ss@host:6379/3",
        "rediss://u:p@host:6380/0?ssl_ca_certs=/dev/null&ssl_certfile=/dev/null&ssl_keyfile=/dev/null",
        "rediss://host?ssl_check_hostname=false",
        "unix:///run/redis.sock?db=2",
        "redis+sentinel://one/main",
        "redis+sentinel://u:p%40ss@one:26379,[fd00::2]:26379,10.0.0.3/main?db=1",
        "rediss+sentinel://one,two,three/main?ssl_ca_certs=/dev/null&ssl_check_hostname=false",
    ],
)
def test_an_address_that_can_be_used(url: str) -> None:
    assert load_settings(redis_url=url).redis_address == url


def test_the_password_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss/w?rd\n")
    for url in ("redis://anna@host:6379/1", "unix://anna@/run/redis.sock", "redis://host"):
        settings = load_settings(redis_url=url, redis_password_file=str(file))
        found = address.open_client(settings.redis_address, timeout_s=1, text=True).get_connection_kwargs()
        assert found["password"] == "p@ss/w?rd"
        assert found.get("username") == ("anna" if "anna" in url else None)
        assert "p@ss" not in repr(settings)
        assert "p%40ss" not in repr(settings)


@pytest.mark.parametrize("tls", [False, True], ids=["TCP", "TLS"])
def test_sentinels_name_the_primary(tmp_path: Path, tls: bool) -> None:
    for name in ("of-the-server", "of-the-sentinels"):
        (tmp_path / name).write_text(f"{name}/@:\n")
    url = f"{'rediss' if tls else 'redis'}+sentinel://anna@one:1,[fd00::2]:2,three/main?db=3"
    url += f"&sentinel_password_file={tmp_path / 'of-the-sentinels'}"
    url += "&ssl_ca_certs=/dev/null&ssl_check_hostname=false" if tls else ""
    settings = load_settings(redis_url=url, redis_password_file=str(tmp_path / "of-the-server"))
    client = address.open_client(settings.redis_address, timeout_s=2.5, text=True)
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "main"
    assert issubclass(pool.connection_class, SSLConnection) is tls
    plain = "rediss://anna@one/3?ssl_ca_certs=/dev/null&ssl_check_hostname=0" if tls else "redis://anna@one/3"
    same = address.open_client(address.with_password(plain, "of-the-server/@:"), timeout_s=2.5, text=True)
    server = same.connection_pool.connection_kwargs
    own = {"host", "connection_pool", "retry", "himport_registry"}
    assert {k: v for k, v in pool.connection_kwargs.items() if k not in own} == {
        k: v for k, v in server.items() if k not in own
    }
    sentinels = [sentinel.get_connection_kwargs() for sentinel in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"]) for one in sentinels] == [("one", 1), ("fd00::2", 2), ("three", 26379)]
    for one in sentinels:
        assert one["password"] == "of-the-sentinels/@:"
        assert not one.get("username")
        assert one["db"] == 0
        assert one["retry"].get_retries() == 0
        assert one["socket_timeout"] == one["socket_connect_timeout"] == 1.0
        assert one["socket_keepalive"]
        assert one["protocol"] == 2
        assert one["driver_info"] is None
        assert one.get("ssl_ca_certs") == ("/dev/null" if tls else None)
        assert one.get("ssl_check_hostname") is (False if tls else None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"redis://u:{SECRET}@host:1/0?db=2", "redis://***@host:1/0"),
        (f"redis+sentinel://u:{SECRET}@one:1,two/main?db=2", "redis+sentinel://***@one:1,two/main"),
        (
            f"rediss+sentinel://:{SECRET}@x/@one:1,two/main?sentinel_password_file=/x",
            "rediss+sentinel://***@one:1,two/main",
        ),
        ("redis+sentinel://one:1,two/main", "redis+sentinel://one:1,two/main"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, expected: str) -> None:
    assert address.shown(url) == expected


def test_the_embedded_server_needs_no_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    settings = load_settings(data=tmp_path, redis_password_file=str(tmp_path / "password"))
    assert settings.redis_address == f"unix://{tmp_path}/redis.sock"


@pytest.mark.parametrize("content", [None, "", "\n", "one\ntwo\n", b"\xff\xfe"])
def test_a_file_without_a_password_is_named(tmp_path: Path, content: str | bytes | None) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError, match=r"REACHQ_REDIS_PASSWORD_FILE: .*password'\)? (cannot be read|must hold)"):
        load_settings(redis_url="redis://host", redis_password_file=str(file))


def test_only_one_password_is_given(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    with pytest.raises(SettingsError, match="give only one") as refused:
        load_settings(redis_url=f"redis://u:{SECRET}@host", redis_password_file=str(tmp_path / "password"))
    assert SECRET not in str(refused.value)


def test_the_address_is_shown_without_user_password_and_options() -> None:
    assert address.shown(f"rediss://u:{SECRET}@host:1/0?ssl_ca_certs=/x") == "rediss://***@host:1/0"
    assert address.shown(f"redis://u:{SECRET}@{SECRET}@host") == "redis://***@host"
    assert address.shown("unix:///run/redis.sock") == "unix:///run/redis.sock"
    assert SECRET not in repr(load_settings(redis_url=f"redis://u:{SECRET}@host"))
