"""Which passwords are accepted, how long a check takes, and how many run at once."""

from __future__ import annotations

import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher

from app.people import passwords
from ledger.errors import BadInput

GOOD = "correct horse battery"


@pytest.mark.slow
def test_a_password_matches_its_hash_alone() -> None:
    stored = passwords.hashed(GOOD, "anna")
    assert stored.startswith("$argon2id$")
    assert GOOD not in stored
    assert passwords.matches(stored, GOOD)
    for other in (GOOD + " ", GOOD.upper(), "", "x" * 5000, "\x00"):
        assert not passwords.matches(stored, other)
    assert passwords.hashed(GOOD, "anna") != stored, "salted"


@pytest.mark.parametrize(
    ("password", "remedy"),
    [
        ("short", "10-200 characters"), ("", "10-200 characters"), ("x y z" * 50, "10-200 characters"),
        ("anna.anderson", "the user's name"), ("ANNA.Anderson", "the user's name"),
        ("aaaaaaaaaaaa", "over and over"), ("ten letters\x00", "control"), ("two\nlines of it", "control"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_is_said_without_repeating_it(password: str, remedy: str) -> None:
    with pytest.raises(BadInput, match=remedy) as refused:
        passwords.hashed(password, "anna.anderson")
    assert not password or password not in str(refused.value)


@pytest.mark.slow
def test_letters_are_the_same_however_they_are_composed() -> None:
    stored = passwords.hashed("pässwörter hier", "anna")
    assert passwords.matches(stored, unicodedata.normalize("NFD", "pässwörter hier"))
    assert passwords.matches(passwords.hashed("длинный пароль", "anna"), "длинный пароль")


@pytest.mark.slow
def test_nobody_has_a_password_and_telling_takes_as_long() -> None:
    stored = passwords.hashed(GOOD, "anna")
    passwords.matches("", GOOD)  # the first call creates it

    asked = {"wrong": (stored, "wrong password"), "nobody": ("", GOOD), "endless": (stored, "x" * 100_000)}
    best = dict.fromkeys(asked, float("inf"))
    for _ in range(9):  # in turn, so that other load on this machine affects all equally
        for case, (of, password) in asked.items():
            began = time.perf_counter()
            assert not passwords.matches(of, password)
            best[case] = min(best[case], time.perf_counter() - began)
    assert best["wrong"] / 2 < best["nobody"] < best["wrong"] * 2
    assert best["endless"] > best["wrong"] / 2
    assert not passwords.matches("no hash at all", GOOD)


def test_hashes_of_other_parameters_are_renewed() -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(GOOD)
    assert passwords.matches(old, GOOD)
    new = passwords.renewed(old, GOOD)
    assert passwords.matches(new, GOOD)
    assert passwords.renewed(new, GOOD) == ""


def test_only_a_few_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now, most, guard = 0, 0, threading.Lock()
    entered = threading.Semaphore(0)

    class Slow:
        def hash(self, _: str) -> str:
            nonlocal now, most
            with guard:
                now += 1
                most = max(most, now)
            entered.acquire(timeout=0.02)  # enough time for others to arrive
            with guard:
                now -= 1
            return "hash"

    monkeypatch.setattr(passwords, "_hasher", Slow())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: passwords.hashed(GOOD, "anna"), range(16)))
    assert most == passwords.AT_ONCE


def test_who_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "PATIENCE_S", 0.01)
    monkeypatch.setattr(passwords, "_room", threading.BoundedSemaphore(1))
    with passwords._one_of_few(), pytest.raises(passwords.Busy, match="try again"):
        passwords.matches("", GOOD)
    assert not passwords.matches("", GOOD), "there is room again"


def test_generated_ones_are_good_and_differ() -> None:
    made = {passwords.generate() for _ in range(200)}
    assert len(made) == 200
    for password in made:
        assert [len(group) for group in password.split("-")] == [4, 4, 4, 4]
        assert not set(password) & set("lo01 ")
    passwords.hashed(made.pop(), "anna")
