"""The findings of reachq from what a Redis server reports."""

from __future__ import annotations

import pytest

from ledger.redis.keys import LAYOUT
from ledger.redis.suitability import Answers, Level, Refusal, judge

GOOD = {
    "redis_version": "7.2.4",
    "redis_mode": "standalone",
    "cluster_enabled": 0,
    "role": "master",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
}
FATAL, BLOCKING, WARNING = Level.FATAL, Level.BLOCKING, Level.WARNING


def found(answers: Answers) -> list[tuple[str, Level]]:
    return [(finding.code, finding.level) for finding in judge(answers)]


def test_a_suitable_server_has_no_findings() -> None:
    assert judge(Answers(GOOD, save="")) == ()
    assert judge(Answers(GOOD, save="", store_id="a", known_id="a")) == ()


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"redis_version": "6.2.14"}, [("redis-version", FATAL)]),
        ({"redis_version": "5.0"}, [("redis-version", FATAL)]),
        ({"redis_version": "7.0.0"}, []),
        ({"redis_version": "10.1.0"}, []),
        ({"redis_version": "?"}, [("redis-unknown", WARNING)]),
        ({"cluster_enabled": 1}, [("redis-cluster", FATAL)]),
        ({"redis_mode": None, "server_mode": "cluster"}, [("redis-cluster", FATAL)]),
        ({"redis_mode": "sentinel"}, [("redis-sentinel", FATAL)]),
        ({"maxmemory_policy": "allkeys-lru"}, [("redis-evicts", WARNING)]),
        ({"maxmemory_policy": "volatile-ttl"}, [("redis-evicts", WARNING)]),
        ({"maxmemory_policy": ""}, [("redis-eviction-unknown", WARNING)]),
        (
            {"redis_version": "6.0.1", "cluster_enabled": 1, "maxmemory_policy": "allkeys-random"},
            [("redis-version", FATAL), ("redis-cluster", FATAL), ("redis-evicts", WARNING)],
        ),
    ],
)
def test_what_info_says(info: dict[str, object], expected: list[tuple[str, Level]]) -> None:
    assert found(Answers(GOOD | info, save="")) == expected


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, [("redis-min-replicas", WARNING)]),
        ({"min_slaves_good_slaves": 0}, []),
        ({"min_slaves_good_slaves": 2}, []),
        ({"role": "slave"}, []),
    ],
)
def test_a_primary_behind_sentinels_needs_a_replica_to_write(
    info: dict[str, object], expected: list[tuple[str, Level]]
) -> None:
    assert found(Answers(GOOD | info, save="", sentinels=True)) == expected


@pytest.mark.parametrize(
    ("aof", "save", "expected"),
    [
        (1, "", []),
        (1, None, []),
        (0, "3600 1", []),
        (0, "", [("redis-not-persistent", WARNING)]),
        (0, None, [("redis-persistence-unknown", WARNING)]),
    ],
)
def test_whether_it_keeps_its_data(aof: int, save: str | None, expected: list[tuple[str, Level]]) -> None:
    assert found(Answers(GOOD | {"aof_enabled": aof}, save=save)) == expected


def test_what_may_not_be_read_is_unknown_and_not_good() -> None:
    assert found(Answers(None)) == [("redis-unknown", WARNING)]


@pytest.mark.parametrize(
    ("refusal", "code"),
    [(Refusal.FULL, "redis-full"), (Refusal.READ_ONLY, "redis-replica"), (Refusal.OTHER, "redis-refuses")],
)
def test_a_refused_write_blocks(refusal: Refusal, code: str) -> None:
    answers = Answers(GOOD, save="", refusal=refusal, refusal_text="MISCONF Errors writing to the AOF file")
    assert found(answers) == [(code, BLOCKING)]
    assert ("MISCONF" in str(judge(answers)[0])) is (refusal is Refusal.OTHER)


def test_what_follows_from_a_fatal_finding_is_left_out() -> None:
    answers = Answers(GOOD | {"redis_version": "6.2.0"}, save="", refusal=Refusal.OTHER, refusal_text="ERR compiling")
    assert found(answers) == [("redis-version", FATAL)]


@pytest.mark.parametrize(
    ("store_id", "known", "new"),
    [("", "", False), ("a", "", False), ("a", "a", False), ("b", "a", True), ("", "a", True), (None, "a", False)],
)
def test_a_store_that_is_new_although_it_should_not_be(store_id: str | None, known: str, new: bool) -> None:
    answers = Answers(GOOD, save="", store_id=store_id, known_id=known, marker="/data/redis-id")
    assert found(answers) == ([("redis-new", WARNING)] if new else [])
    assert all("/data/redis-id" in finding.remedy for finding in judge(answers))


def test_another_version_is_fatal_and_named() -> None:
    newer = Answers(GOOD, save="", newer=LAYOUT + 1)
    assert found(newer) == [("reachq-newer", FATAL)]
    assert str(judge(newer)[0]) == (
        f"A newer version of reachq has worked with this Redis server (its layout is {LAYOUT + 1}, that of this version is"
        f" {LAYOUT}); install the newer version on this machine, and start its processes again."
    )
    mixed = Answers(GOOD, save="", other="worker main-quick-1 on web2", refusal=Refusal.FULL)
    assert found(mixed) == [("reachq-mixed", FATAL)]
    assert str(judge(mixed)[0]) == (
        "Another version of reachq works with this Redis server: its worker main-quick-1 on web2; stop it, install the same"
        " version on all machines, and start all processes again (a killed process counts for a few more seconds)."
    )
    assert "web2" not in judge(mixed)[0].for_anyone, "clients without an account may read it"


def test_a_sentence_names_nothing_of_the_inside_and_ends_once() -> None:
    for answers in (
        Answers(None),
        Answers(GOOD | {"aof_enabled": 0}, save="", store_id="", known_id="a", marker="/data/redis-id"),
        Answers(GOOD, save="", refusal=Refusal.OTHER, refusal_text="MISCONF see /var/log."),
        Answers(GOOD, save="", newer=LAYOUT + 1, other="dispatcher web1-7-ab12"),
    ):
        for finding in judge(answers):
            assert "/" not in finding.sentence
            assert "web1" not in finding.sentence
            assert str(finding).endswith(".")
            assert not str(finding).endswith("..")
