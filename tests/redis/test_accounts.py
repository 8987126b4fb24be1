"""Accounts on a real server: sign-in and sign-out, brute force, passwords, the first admin, the audit trail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from argon2 import PasswordHasher

from app.people import passwords
from app.people.accounts import Accounts, BadCredentials, Throttled
from ledger.errors import BadInput, LastAdmin, SessionNotFound, TokenNotFound, UserExists, UserNotFound
from ledger.people.records import UserRole, digest
from ledger.redis import keys
from ledger.settings import Settings
from ledger.store import Ledger

GOOD, BETTER = "correct horse battery", "a better password"
HERE, BROWSER = "10.0.0.1", "Mozilla/5.0"


@pytest.fixture
def accounts(ledger: Ledger) -> Accounts:
    """Accounts with one admin, anna."""
    found = Accounts(ledger)
    found.add_user("anna", UserRole.ADMIN, GOOD, by="test")
    return found


def trail(ledger: Ledger) -> list[tuple[str, str, str]]:
    """(kind, by, user) of every audit event."""
    events = ledger.events("0-0", count=1000)
    return [(str(event.kind), event.fields["by"], event.fields["user"]) for event in events]


def test_signing_in_and_out(accounts: Accounts, ledger: Ledger) -> None:
    cookie, session = accounts.sign_in(" Anna ", GOOD, HERE, BROWSER)
    assert len(cookie) == 43
    assert (session.user, session.role, session.via) == ("anna", UserRole.ADMIN, "password")
    assert (session.address, session.agent) == (HERE, BROWSER)
    assert accounts.find_session(cookie) == session
    assert accounts.sessions("anna") == [session]
    accounts.sign_out(cookie)
    assert accounts.find_session(cookie) is None
    accounts.sign_out(cookie)
    assert trail(ledger) == [
        ("user-added", "test", "anna"),
        ("signed-in", "anna", "anna"),
        ("signed-out", "anna", "anna"),
    ]


def test_every_sign_in_is_a_new_session_and_ends_the_old_one(accounts: Accounts) -> None:
    """A cookie planted in a user's browser is worthless after the user signs in."""
    planted, _ = accounts.sign_in("anna", GOOD, HERE, BROWSER)
    cookie, session = accounts.sign_in("anna", GOOD, HERE, BROWSER, old_cookie=planted)
    assert cookie != planted
    assert accounts.find_session(planted) is None
    assert accounts.find_session(cookie) == session
    made_up = "x" * 43
    cookie, _ = accounts.sign_in("anna", GOOD, HERE, BROWSER, old_cookie=made_up)
    assert cookie != made_up
    assert accounts.find_session(made_up) is None


@pytest.mark.parametrize("name", ["anna", "nobody", "", "Not A Name", "*", "a" * 5000, "ann\x00a", "\udc80"])
def test_wrong_name_or_password_look_the_same(accounts: Accounts, ledger: Ledger, name: str) -> None:
    with pytest.raises(BadCredentials, match=r"^Wrong name or password\.$"):
        accounts.sign_in(name, "wrong password", HERE, BROWSER)
    assert trail(ledger)[1:] == [("sign-in-failed", "", "anna" if name == "anna" else "")]


def test_guessing_is_stopped_and_the_right_password_with_it(accounts: Accounts, ledger: Ledger) -> None:
    for _ in range(5):
        with pytest.raises(BadCredentials):
            accounts.sign_in("anna", "wrong password", HERE, BROWSER)
    with pytest.raises(Throttled, match="15 minutes") as stopped:
        accounts.sign_in("anna", GOOD, "10.9.9.9", BROWSER)
    assert 890 <= stopped.value.retry_after_s <= 900
    accounts.set_password("anna", BETTER, by="cli")
    accounts.sign_in("anna", BETTER, "10.9.9.9", BROWSER)
    assert [kind for kind, _, _ in trail(ledger)].count("sign-in-failed") == 5


def test_names_that_do_not_exist_are_throttled_just_the_same(accounts: Accounts) -> None:
    for _ in range(5):
        with pytest.raises(BadCredentials):
            accounts.sign_in("nobody", GOOD, HERE, BROWSER)
    with pytest.raises(Throttled):
        accounts.sign_in("nobody", GOOD, HERE, BROWSER)
    accounts.sign_in("anna", GOOD, HERE, BROWSER)


def test_guessing_many_names_from_one_place_is_stopped(accounts: Accounts, client: redis.Redis) -> None:
    client.set(keys.THROTTLE + digest(f"address {HERE}"), 50, px=60_000)
    client.set(keys.THROTTLE + digest("address 2001:db8::/64"), 50, px=60_000)
    for address in (HERE, "2001:db8::1", "2001:db8::ffff:1"):
        with pytest.raises(Throttled, match="60 s"):
            accounts.sign_in("anna", GOOD, address, BROWSER)
    accounts.sign_in("anna", GOOD, "2001:db8:0:1::1", BROWSER)


def test_a_success_starts_the_count_anew(accounts: Accounts) -> None:
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(BadCredentials):
                accounts.sign_in("anna", "wrong password", HERE, BROWSER)
        accounts.sign_in("anna", GOOD, HERE, BROWSER)


def test_many_guesses_at_once_are_no_more_than_five(accounts: Accounts) -> None:
    def guess(number: int) -> str:
        try:
            accounts.sign_in("anna", f"wrong password {number}", f"10.0.0.{number}", BROWSER)
        except (BadCredentials, Throttled) as refused:
            return refused.code
        return "in"

    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(guess, range(24)))
    assert results.count("bad-credentials") == 5
    assert results.count("throttled") == 19


def test_changing_ones_own_password(accounts: Accounts, ledger: Ledger) -> None:
    cookie, session = accounts.sign_in("anna", GOOD, HERE, BROWSER)
    elsewhere, _ = accounts.sign_in("anna", GOOD, "10.0.0.2", "phone")
    new_cookie, new_session = accounts.change_own_password(session, GOOD, BETTER)
    assert accounts.find_session(cookie) is None
    assert accounts.find_session(elsewhere) is None
    assert accounts.find_session(new_cookie) == new_session
    assert new_session.id != session.id
    assert new_session.csrf != session.csrf
    assert (new_session.address, new_session.agent) == (HERE, BROWSER)
    with pytest.raises(BadCredentials):
        accounts.sign_in("anna", GOOD, HERE, BROWSER)
    accounts.sign_in("anna", BETTER, HERE, BROWSER)
    assert ("password-changed", "anna", "anna") in trail(ledger)


def test_the_old_password_is_asked_for_and_cannot_be_guessed_there_either(accounts: Accounts) -> None:
    cookie, session = accounts.sign_in("anna", GOOD, HERE, BROWSER)
    with pytest.raises(BadInput, match="10-200"):
        accounts.change_own_password(session, GOOD, "short")
    for _ in range(5):
        with pytest.raises(BadCredentials):
            accounts.change_own_password(session, "wrong password", BETTER)
    with pytest.raises(Throttled):
        accounts.change_own_password(session, GOOD, BETTER)
    assert accounts.find_session(cookie) == session


def test_a_password_set_by_an_admin_ends_all_sessions_but_the_named(accounts: Accounts) -> None:
    accounts.add_user("ben", UserRole.USER, GOOD, by="anna")
    cookie, _ = accounts.sign_in("ben", GOOD, HERE, BROWSER)
    kept, session = accounts.sign_in("ben", GOOD, HERE, BROWSER)
    secret, _ = accounts.make_token("ben", "check")
    made = accounts.set_password("ben", None, by="anna", keep_session=session.id)
    assert accounts.find_session(cookie) is None
    assert accounts.find_session(kept) == session
    assert accounts.find_token(secret) is not None, "tokens are revoked on their own"
    accounts.sign_in("ben", made, HERE, BROWSER)
    with pytest.raises(UserNotFound):
        accounts.set_password("nobody", GOOD, by="anna")


def test_an_old_hash_is_renewed_by_signing_in(accounts: Accounts, ledger: Ledger) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("short")
    ledger.update_user("anna", password=old, by="test")
    cookie, _ = accounts.sign_in("anna", "short", HERE, BROWSER)
    assert ledger.user_password("anna") != old
    assert accounts.find_session(cookie) is not None, "a renewed hash is no changed password"
    accounts.sign_in("anna", "short", HERE, BROWSER)


def test_users_come_and_go(accounts: Accounts, ledger: Ledger) -> None:
    password = accounts.add_user("Ben", UserRole.USER, None, by="anna")
    cookie, _ = accounts.sign_in("ben", password, HERE, BROWSER)
    secret, _ = accounts.make_token("ben", "check")
    with pytest.raises(UserExists):
        accounts.add_user("ben", UserRole.USER, None, by="anna")
    with pytest.raises(BadInput, match="password"):
        accounts.add_user("cleo", UserRole.USER, "short", by="anna")
    assert [user.name for user in accounts.users()] == ["anna", "ben"]
    assert accounts.set_role("ben", UserRole.VIEWER, by="anna")
    assert accounts.find_session(cookie) is None
    cookie, session = accounts.sign_in("ben", password, HERE, BROWSER)
    assert session.role is UserRole.VIEWER
    accounts.remove_user("ben", by="anna")
    assert accounts.find_session(cookie) is None
    assert accounts.find_token(secret) is None
    with pytest.raises(BadCredentials):
        accounts.sign_in("ben", password, HERE, BROWSER)
    with pytest.raises(LastAdmin):
        accounts.remove_user("anna", by="anna")
    changes = [(kind, by) for kind, by, user in trail(ledger) if user == "ben" and kind.startswith("user-")]
    assert changes == [("user-added", "anna"), ("user-changed", "anna"), ("user-removed", "anna")]


def test_tokens_and_sessions_of_ones_own(accounts: Accounts, ledger: Ledger) -> None:
    secret, token = accounts.make_token("anna", "nightly")
    assert secret.startswith("rq_")
    assert len(secret) == 46
    assert accounts.find_token(secret) == token
    assert accounts.find_token(secret.removeprefix("rq_")) is None
    assert [each.name for each in accounts.tokens("anna")] == ["nightly"]
    accounts.revoke_token("anna", token.id)
    assert accounts.find_token(secret) is None
    with pytest.raises(TokenNotFound):
        accounts.revoke_token("anna", token.id)
    cookie, session = accounts.sign_in("anna", GOOD, HERE, BROWSER)
    accounts.revoke_session("anna", session.id)
    assert accounts.find_session(cookie) is None
    with pytest.raises(SessionNotFound):
        accounts.revoke_session("anna", session.id)
    assert [kind for kind, _, _ in trail(ledger)][1:] == ["token-made", "token-revoked", "signed-in", "signed-out"]


def test_who_a_proxy_names_must_exist(accounts: Accounts, ledger: Ledger) -> None:
    begun = accounts.sign_in_from_proxy("Anna", HERE, BROWSER)
    assert begun is not None
    cookie, session = begun
    assert (session.user, session.via) == ("anna", "proxy")
    assert accounts.find_session(cookie) == session
    for name in ("nobody", "", "anna, anna", "*"):
        assert accounts.sign_in_from_proxy(name, HERE, BROWSER) is None


def test_the_first_start_makes_an_admin_once(settings: Settings, client: redis.Redis) -> None:
    def start(_: int) -> str | None:
        with Ledger.connect(settings) as ledger:
            return Accounts(ledger).ensure_admin()

    with ThreadPoolExecutor(6) as pool:
        made = [password for password in pool.map(start, range(6)) if password]
    assert len(made) == 1
    assert start(0) is None
    with Ledger.connect(settings) as ledger:
        _, session = Accounts(ledger).sign_in("admin", made[0], HERE, BROWSER)
        assert session.role is UserRole.ADMIN
        Accounts(ledger).add_user("anna", UserRole.ADMIN, None, by="admin")
        Accounts(ledger).remove_user("admin", by="anna")
        assert Accounts(ledger).ensure_admin() is None, "it is not made again"


def test_who_was_not_looked_at_for_want_of_room_has_not_tried(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(stored: str, password: str) -> bool:
        raise passwords.Busy

    with monkeypatch.context() as patch:
        patch.setattr(passwords, "matches", busy)
        for _ in range(10):
            with pytest.raises(passwords.Busy):
                accounts.sign_in("anna", GOOD, HERE, BROWSER)
    assert accounts.sign_in("anna", GOOD, HERE, BROWSER)[1].user == "anna"
