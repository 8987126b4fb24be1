"""Users, sessions, tokens and the throttle: each script on a real server, its refusals, its events, its expiry."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from ledger.errors import (
    BadInput,
    LastAdmin,
    SessionNotFound,
    SettingsError,
    TokenNotFound,
    TooManyTokens,
    UserExists,
    UserNotFound,
)
from ledger.people.records import Session, UserRole, digest, new_name
from ledger.people.sessions import ADDRESS_FACTOR, SESSIONS_MAX
from ledger.people.tokens import TOKENS_MAX
from ledger.redis import keys
from ledger.settings import load_settings
from ledger.store import Ledger

VIEWER, USER, ADMIN = UserRole.VIEWER, UserRole.USER, UserRole.ADMIN
MINUTE, HOUR = 60_000, 3_600_000


def add(ledger: Ledger, name: str = "anna", role: UserRole = ADMIN) -> str:
    ledger.add_user(name, role, f"hash of {name}", by="test")
    return name


def admit(ledger: Ledger, name: str = "anna", secret: str = "s1", **more: str) -> Session:
    session = ledger.start_session(name, secret, via="password", address="10.0.0.1", agent="a browser", **more)
    assert session is not None
    return session


def last_event(ledger: Ledger) -> dict[str, str]:
    event = ledger.events("0-0", count=10_000)[-1]
    return {"kind": str(event.kind), **event.fields}


def everything(client: redis.Redis) -> str:
    """All stored data, as text."""
    read: dict[str, Callable[[str], object]] = {
        "hash": client.hgetall,
        "set": client.smembers,
        "string": client.get,
        "stream": client.xrange,
    }
    return "\n".join(f"{key} {read[str(client.type(key))](key)}" for key in client.scan_iter("*"))


def aged(client: redis.Redis, key: str, field: str, by_ms: int) -> None:
    """Move a time in a record into the past."""
    assert client.hincrby(key, field, -by_ms) > 0


# users


def test_a_user_is_added_once(ledger: Ledger, client: redis.Redis) -> None:
    assert ledger.add_user("anna", ADMIN, "a hash", by="cli")
    assert last_event(ledger) == {"kind": "user-added", "by": "cli", "user": "anna", "role": "admin"}
    with pytest.raises(UserExists, match="anna already"):
        ledger.add_user("anna", USER, "another", by="cli")
    anna = ledger.user("anna")
    assert (anna.role, anna.by, anna.seen_ms, anna.sessions, anna.tokens) == (ADMIN, "cli", 0, 0, 0)
    assert anna.created_ms == anna.changed_ms > 0
    assert ledger.user_password("anna") == "a hash"
    assert ledger.user_password("nobody") == ""
    assert client.smembers("reachq:users") == {"anna"}
    with pytest.raises(UserNotFound):
        ledger.user("nobody")


def test_the_first_user_is_first_even_when_many_are_at_once(ledger: Ledger) -> None:
    assert not ledger.any_user()
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda n: ledger.add_user("admin", ADMIN, f"hash {n}", by="start", first=True), range(48)))
    assert sum(made) == 1
    assert ledger.user_password("admin") == f"hash {made.index(True)}"
    assert not ledger.add_user("other", ADMIN, "hash", by="start", first=True)
    assert [user.name for user in ledger.users()] == ["admin"]


@pytest.mark.parametrize("name", ["", "Anna", "1anna", "anna smith", "a" * 32, "anna:x", "änna", "anna\n", "*", "api"])
def test_a_name_that_cannot_be_one(ledger: Ledger, client: redis.Redis, name: str) -> None:
    with pytest.raises(BadInput, match="name:"):
        ledger.add_user(name, USER, "hash", by="test")
    assert client.dbsize() == 0


@pytest.mark.parametrize("name", ["a", "anna", "a" * 31, "anna.b-c_d9", "seq", "leader", "status"])
def test_a_name_that_can(ledger: Ledger, name: str) -> None:
    """Also names that look like keys of a bench: the leak check would fail if they were confused."""
    assert new_name(name) == name
    add(ledger, name)
    admit(ledger, name)
    assert keys.owner(f"reachq:user:{name}") in keys.CATALOGUE


def test_no_bench_is_called_as_keys_of_people_are() -> None:
    for name in sorted(keys.NO_BENCH):
        with pytest.raises(SettingsError, match="REACHQ_BENCH"):
            load_settings(bench=name)


def test_a_role_is_changed_and_ends_sessions(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger), add(ledger, "ben", USER)
    first, second = admit(ledger, "ben", "s1"), admit(ledger, "ben", "s2")
    admit(ledger, "anna", "s3")
    assert ledger.update_user("ben", role=VIEWER, by="anna", keep=second.id)
    assert last_event(ledger) == {"kind": "user-changed", "by": "anna", "user": "ben", "role": "viewer"}
    assert [session.id for session in ledger.sessions("ben")] == [second.id] != [first.id]
    assert ledger.find_session("s1") is None
    kept = ledger.find_session("s2")
    assert kept is not None
    assert kept.role is VIEWER
    assert ledger.find_session("s3") is not None
    assert client.scard("reachq:sessions:ben") == 1
    assert not ledger.update_user("ben", role=VIEWER, by="anna"), "the same as before"
    assert ledger.find_session("s2") is not None
    with pytest.raises(UserNotFound):
        ledger.update_user("nobody", role=VIEWER, by="anna")
    assert client.exists("reachq:user:nobody") == 0


def test_a_password_is_changed_and_ends_sessions(ledger: Ledger) -> None:
    add(ledger)
    admit(ledger)
    assert ledger.update_user("anna", password="new hash", by="anna")
    assert last_event(ledger) == {"kind": "password-changed", "by": "anna", "user": "anna"}
    assert ledger.user_password("anna") == "new hash"
    assert ledger.find_session("s1") is None
    assert ledger.user("anna").role is ADMIN


def test_the_last_admin_stays(ledger: Ledger) -> None:
    add(ledger), add(ledger, "ben", USER)
    admit(ledger)
    for change in (
        lambda: ledger.update_user("anna", role=USER, by="anna"),
        lambda: ledger.remove_user("anna", by="anna"),
    ):
        with pytest.raises(LastAdmin, match="anna is the last admin"):
            change()
    assert ledger.user("anna").role is ADMIN
    assert ledger.find_session("s1") is not None, "nothing was changed"
    ledger.update_user("ben", role=ADMIN, by="anna")
    ledger.update_user("anna", role=USER, by="ben")
    with pytest.raises(LastAdmin):
        ledger.remove_user("ben", by="ben")


def test_of_two_admins_who_remove_each_other_one_stays(ledger: Ledger) -> None:
    for _ in range(10):
        for name in ("anna", "ben"):
            if name not in [user.name for user in ledger.users()]:
                add(ledger, name)

        def remove(name: str) -> bool:
            try:
                ledger.remove_user(name, by="test")
            except LastAdmin:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(remove, ["anna", "ben"])) == [False, True]


def test_who_is_removed_leaves_nothing(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger), add(ledger, "ben", USER)
    admit(ledger, "ben")
    ledger.add_token("ben", "t1", "backup", by="ben")
    ledger.remove_user("ben", by="anna")
    assert last_event(ledger) == {"kind": "user-removed", "by": "anna", "user": "ben"}
    assert ledger.find_session("s1") is None
    assert ledger.find_token("t1") is None
    assert set(client.keys()) == {"reachq:users", "reachq:user:anna", "reachq:events", "reachq:store-id"}
    with pytest.raises(UserNotFound):
        ledger.remove_user("ben", by="anna")
    add(ledger, "ben", USER)
    assert ledger.find_session("s1") is None, "a new ben is not the old one"


def test_users_are_listed_with_what_they_hold(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger, "ben", USER), add(ledger)
    admit(ledger, "ben", "s1"), admit(ledger, "ben", "s2")
    ledger.add_token("ben", "t1", "backup", by="ben")
    client.delete(keys.SESSION + digest("s1"))  # it has expired
    anna, ben = ledger.users()
    assert (anna.name, anna.sessions, anna.tokens, anna.seen_ms) == ("anna", 0, 0, 0)
    assert (ben.name, ben.sessions, ben.tokens) == ("ben", 1, 1)
    assert ben.seen_ms > 0


# sessions


def test_a_session_is_known_by_its_secret_and_keeps_none(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger)
    made = admit(ledger, secret="the-secret-cookie")
    assert last_event(ledger) == {
        "kind": "signed-in", "by": "anna", "user": "anna", "via": "password", "address": "10.0.0.1"
    }  # fmt: skip
    assert ledger.find_session("the-secret-cookie") == made
    assert (made.user, made.role, made.address, made.agent) == ("anna", ADMIN, "10.0.0.1", "a browser")
    assert len(made.csrf) >= 32
    assert ledger.find_session("the-secret-cooki") is None
    assert ledger.find_session("") is None
    assert ledger.find_session(digest("the-secret-cookie")) is None
    assert "the-secret-cookie" not in everything(client)


def test_the_role_is_the_one_of_now(ledger: Ledger) -> None:
    add(ledger), add(ledger, "ben", USER)
    session = admit(ledger, "ben")
    ledger.update_user("ben", role=VIEWER, by="anna", keep=session.id)
    seen = ledger.find_session("s1")
    assert seen is not None
    assert seen.role is VIEWER


def test_being_seen_prolongs_a_session_once_a_minute(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger)
    session, key = admit(ledger), keys.SESSION + digest("s1")
    client.pexpire(key, HOUR)
    assert ledger.find_session("s1") == session
    assert client.pttl(key) <= HOUR, "seen just now: nothing is written"
    aged(client, key, "seen_ms", MINUTE + 1)
    client.hset("reachq:user:anna", "seen_ms", 1)
    assert ledger.find_session("s1") is not None
    assert client.pttl(key) > 11 * HOUR
    seen = int(client.hget(key, "seen_ms") or 0)
    assert seen >= session.seen_ms
    assert ledger.user("anna").seen_ms == seen


def test_a_session_ends_when_unused_and_in_any_case(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger)
    admit(ledger, secret="idle"), admit(ledger, secret="old"), admit(ledger, secret="older")
    assert 0 < client.pttl(keys.SESSION + digest("idle")) <= 12 * HOUR
    aged(client, keys.SESSION + digest("idle"), "seen_ms", 12 * HOUR + 1)
    assert ledger.find_session("idle") is None
    old = keys.SESSION + digest("old")
    aged(client, old, "created_ms", 7 * 24 * HOUR - 10 * MINUTE)
    aged(client, old, "seen_ms", 2 * MINUTE)
    assert ledger.find_session("old") is not None
    assert client.pttl(old) <= 10 * MINUTE, "its end comes however often it is used"
    aged(client, old, "created_ms", 10 * MINUTE + 1)
    assert ledger.find_session("old") is None


def test_a_session_without_its_user_is_none(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger)
    admit(ledger)
    client.delete("reachq:user:anna")
    assert ledger.find_session("s1") is None
    assert ledger.sessions("anna") == []
    client.hset("reachq:user:anna", mapping={"role": "admin"})


def test_signing_out(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger)
    admit(ledger)
    assert ledger.end_session("s1")
    assert last_event(ledger) == {"kind": "signed-out", "by": "anna", "user": "anna"}
    assert ledger.find_session("s1") is None
    assert client.exists("reachq:sessions:anna") == 0
    assert not ledger.end_session("s1")
    assert not ledger.end_session("never there")


def test_a_session_is_ended_by_its_id_but_only_the_users_own(ledger: Ledger) -> None:
    add(ledger), add(ledger, "ben", USER)
    session = admit(ledger, "ben")
    with pytest.raises(SessionNotFound):
        ledger.dismiss_session("anna", session.id, by="anna")
    assert ledger.find_session("s1") is not None
    ledger.dismiss_session("ben", session.id, by="anna")
    assert last_event(ledger) == {"kind": "signed-out", "by": "anna", "user": "ben"}
    assert ledger.find_session("s1") is None
    with pytest.raises(SessionNotFound):
        ledger.dismiss_session("ben", session.id, by="anna")


def test_the_password_that_was_checked_must_still_be_the_one(ledger: Ledger) -> None:
    """Otherwise a password change during a sign-in would not end the new session."""
    add(ledger)
    admit(ledger, verified="hash of anna")
    ledger.update_user("anna", password="new hash", by="anna")
    more = {"via": "password", "address": "", "agent": ""}
    assert ledger.start_session("anna", "s2", verified="hash of anna", **more) is None
    assert ledger.start_session("nobody", "s2", verified="hash of anna", **more) is None
    assert ledger.find_session("s2") is None
    admit(ledger, secret="s3", verified="new hash", renewed="the same in newer parameters")
    assert ledger.user_password("anna") == "the same in newer parameters"


def test_sessions_of_a_user_are_bounded_and_those_that_ran_out_are_cleared(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger)
    for number in range(SESSIONS_MAX):
        admit(ledger, secret=f"s{number}")
    aged(client, keys.SESSION + digest("s7"), "created_ms", MINUTE)
    client.delete(keys.SESSION + digest("s9"))
    admit(ledger, secret="takes the place of s9")
    assert ledger.find_session("s7") is not None
    admit(ledger, secret="takes the place of the oldest")
    assert ledger.find_session("s7") is None
    assert client.scard("reachq:sessions:anna") == len(ledger.sessions("anna")) == SESSIONS_MAX
    assert client.pttl("reachq:sessions:anna") > 6 * 24 * HOUR


def test_the_agent_is_cut(ledger: Ledger) -> None:
    add(ledger)
    session = ledger.start_session("anna", "s1", via="password", address="", agent="x" * 5000)
    assert session is not None
    assert session.agent == "x" * 200
    assert ledger.find_session("s1") == session


# tokens


def test_a_token_is_known_by_its_secret_and_has_its_owners_role(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger), add(ledger, "ben", USER)
    token = ledger.add_token("ben", "rq_secret", " nightly check ", by="ben")
    made = {"by": "ben", "user": "ben", "token": token.id, "name": "nightly check"}
    assert last_event(ledger) == {"kind": "token-made", **made}
    assert (token.name, token.role, token.used_ms) == ("nightly check", USER, 0)
    used = ledger.find_token("rq_secret")
    assert used == token
    assert ledger.find_token("rq_secre") is None
    ledger.update_user("ben", role=VIEWER, by="anna")
    now = ledger.find_token("rq_secret")
    assert now is not None
    assert now.role is VIEWER
    assert "rq_secret" not in everything(client)
    ledger.revoke_token("ben", token.id, by="anna")
    assert last_event(ledger) == {"kind": "token-revoked", **made, "by": "anna"}
    assert ledger.find_token("rq_secret") is None
    assert ledger.tokens("ben") == []


def test_the_use_of_a_token_is_noted_once_a_minute(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger)
    ledger.add_token("anna", "t1", "check", by="anna")
    ledger.find_token("t1")
    (token,) = ledger.tokens("anna")
    assert ledger.user("anna").seen_ms == token.used_ms > 0
    assert client.ttl(keys.TOKEN + digest("t1")) == -1
    client.hset("reachq:user:anna", "seen_ms", 1)
    ledger.find_token("t1")
    assert ledger.user("anna").seen_ms == 1, "used just now: nothing is written"
    aged(client, keys.TOKEN + digest("t1"), "used_ms", MINUTE + 1)
    ledger.find_token("t1")
    assert ledger.user("anna").seen_ms >= token.used_ms


def test_tokens_of_others_are_not_revoked(ledger: Ledger) -> None:
    add(ledger), add(ledger, "ben", USER)
    token = ledger.add_token("ben", "t1", "check", by="ben")
    with pytest.raises(TokenNotFound):
        ledger.revoke_token("anna", token.id, by="anna")
    with pytest.raises(TokenNotFound):
        ledger.revoke_token("nobody", token.id, by="anna")
    assert ledger.find_token("t1") is not None


def test_what_cannot_be_a_token(ledger: Ledger) -> None:
    add(ledger)
    for name in ("", "  ", "x" * 61, "two\nlines"):
        with pytest.raises(BadInput, match="label:"):
            ledger.add_token("anna", "t1", name, by="anna")
    with pytest.raises(UserNotFound):
        ledger.add_token("nobody", "t1", "check", by="anna")
    for number in range(TOKENS_MAX):
        ledger.add_token("anna", f"t{number}", "check", by="anna")
    with pytest.raises(TooManyTokens, match="revoke one"):
        ledger.add_token("anna", "one more", "check", by="anna")
    assert len(ledger.tokens("anna")) == TOKENS_MAX


def test_a_use_does_not_bring_back_what_was_revoked(ledger: Ledger, client: redis.Redis) -> None:
    from ledger.people.sessions import touch

    add(ledger)
    touch(ledger.connection, keys.TOKEN + digest("t1"), "anna", {"field": "used_ms", "idle_ms": 0, "max_ms": 0})
    assert client.exists(keys.TOKEN + digest("t1")) == 0


# the throttle


def test_attempts_are_counted_for_the_name(ledger: Ledger) -> None:
    assert [ledger.count_login_attempt("anna", f"10.0.0.{n}") for n in range(5)] == [0] * 5
    wait_ms = ledger.count_login_attempt("anna", "10.0.0.9")
    assert 899_000 < wait_ms <= 900_000
    assert ledger.count_login_attempt("ben", "10.0.0.9") == 0
    assert ledger.count_login_attempt("anna", "10.0.0.9") <= wait_ms, "being refused does not prolong it"


def test_attempts_are_counted_for_the_address(ledger: Ledger) -> None:
    for number in range(5 * ADDRESS_FACTOR):
        assert ledger.count_login_attempt(f"name-{number}", "10.0.0.1") == 0
    assert ledger.count_login_attempt("another", "10.0.0.1") > 0
    assert ledger.count_login_attempt("another", "10.0.0.2") == 0


def test_many_at_once_are_not_more(ledger: Ledger) -> None:
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: ledger.count_login_attempt("anna", "10.0.0.1"), range(64)))
    assert waits.count(0) == 5


def test_a_success_clears_the_name_and_gives_the_address_one_back(ledger: Ledger, client: redis.Redis) -> None:
    for _ in range(4):
        ledger.count_login_attempt("ben", "10.0.0.1")
    for _ in range(3):
        ledger.count_login_attempt("anna", "10.0.0.1")
    ledger.reset_login_attempts("anna", "10.0.0.1")
    assert client.get(keys.THROTTLE + digest("address 10.0.0.1")) == "6"
    assert client.exists(keys.THROTTLE + digest("name anna")) == 0
    assert client.get(keys.THROTTLE + digest("name ben")) == "4"
    ledger.reset_login_attempts("anna", "10.0.0.2")
    assert client.exists(keys.THROTTLE + digest("address 10.0.0.2")) == 0, "nothing is made that would not expire"
    assert all(client.pttl(key) > 0 for key in client.keys("reachq:throttle:*"))


# the audit trail, a full store, a store that cannot write


def test_a_note_is_an_event(ledger: Ledger) -> None:
    ledger.note("sign-in-failed", "", user="anna", address="10.0.0.1")
    assert last_event(ledger) == {"kind": "sign-in-failed", "by": "", "user": "anna", "address": "10.0.0.1"}
    with pytest.raises(ValueError, match="no-such-kind"):
        ledger.note("no-such-kind", "anna")


def test_a_full_store_still_lets_people_in(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger)
    admit(ledger)
    client.config_set("maxmemory", 1)
    assert ledger.count_login_attempt("anna", "10.0.0.1") == 0
    admit(ledger, secret="s2")
    assert ledger.find_session("s2") is not None
    assert ledger.end_session("s1")


def test_who_is_signed_in_can_look_while_nothing_can_be_written(ledger: Ledger, client: redis.Redis) -> None:
    add(ledger)
    admit(ledger)
    ledger.add_token("anna", "t1", "check", by="anna")
    aged(client, keys.SESSION + digest("s1"), "seen_ms", MINUTE + 1)
    client.config_set("min-replicas-to-write", 1)
    try:
        assert ledger.find_session("s1") is not None
        assert ledger.find_token("t1") is not None
    finally:
        client.config_set("min-replicas-to-write", 0)


# settings

PROXY = {
    "a proxy without a place": ({"proxy_header": "X-Remote-User"}, "REACHQ_PROXY_FROM"),
    "no network": ({"proxy_header": "X-Remote-User", "proxy_from": "10.0.0.0/33"}, "REACHQ_PROXY_FROM"),
    "a name": ({"proxy_from": "proxy.example"}, "REACHQ_PROXY_FROM"),
    "no header": ({"proxy_header": "X Remote", "proxy_from": "10.0.0.1"}, "REACHQ_PROXY_HEADER"),
    "a header everybody sends": ({"proxy_header": "User-Agent", "proxy_from": "10.0.0.1"}, "REACHQ_PROXY_HEADER"),
    "an underscore": ({"proxy_header": "X_Remote_User", "proxy_from": "10.0.0.1"}, "REACHQ_PROXY_HEADER"),
}


@pytest.mark.parametrize("case", PROXY)
def test_a_proxy_that_cannot_be_trusted(case: str) -> None:
    given, message = PROXY[case]
    with pytest.raises(SettingsError, match=message):
        load_settings(**given)


def test_a_proxy_that_can() -> None:
    settings = load_settings(proxy_header="X-Remote-User", proxy_from="127.0.0.1, 10.0.0.0/8,::1")
    assert [str(network) for network in settings.trusted] == ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]
    assert load_settings().trusted == ()
