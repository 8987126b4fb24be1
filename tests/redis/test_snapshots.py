"""Snapshots in Redis: stored once by meaning, checked by a host, made current, kept and removed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
import redis

from ledger.errors import (
    BadInput,
    SnapshotConflict,
    SnapshotInUse,
    SnapshotNotFound,
    SnapshotNotReady,
    StoreDamaged,
    StoreFull,
)
from ledger.events import Kind
from ledger.settings import load_settings
from ledger.snapshots.checking import WantedSnapshots
from ledger.snapshots.records import FIRST_START, NewSnapshot, SnapshotState
from ledger.store import Ledger
from tests.support.server import Server


def snapshot(number: int, files: Mapping[str, bytes], **more: object) -> NewSnapshot:
    """Return a snapshot whose files mean what they contain."""
    hashed = {path: (hashlib.sha256(path[-4:].encode() + data).hexdigest(), data) for path, data in files.items()}
    fields: dict[str, object] = {"others": (), "routers": 1, "origin": "campus"} | more
    return NewSnapshot(facts=f"{number:012x}", files=hashed, **fields)  # type: ignore[arg-type]


def ready(ledger: Ledger, new: NewSnapshot) -> str:
    """Push a snapshot, and let a host find that it can be built."""
    assert ledger.push_snapshot(new, by="ada")[0] is SnapshotState.CHECKING
    assert ledger.settle_check(new.facts, SnapshotState.READY, host="h1", problems=[], warnings=[])
    return new.facts


def stored_files(client: redis.Redis) -> set[str]:
    """Return the hashes of all stored files."""
    return {str(key).rpartition(":")[2] for key in client.keys("reachq:file:*")}


def events(ledger: Ledger) -> list[tuple[str, str]]:
    """Return (kind, facts) of all events."""
    return [(str(event.kind), event.fields.get("facts", "")) for event in ledger.events("0")]


FIRST = snapshot(1, {"r1/addr.json": b"[1]", "r2/addr.json": b"[2]", "hosts.yaml": b""}, others=("r1/old.conf",))
SECOND = snapshot(2, {"r1/addr.json": b"[1]", "r2/addr.json": b"[3]"}, note="  new   uplink ", changes="r2: 1 address")


def test_a_snapshot_is_returned_as_it_was_pushed(ledger: Ledger) -> None:
    assert ledger.snapshots() == []
    ready(ledger, FIRST)
    ledger.push_snapshot(SECOND, by="bob")
    second, first = ledger.snapshots()
    assert (first.facts, first.state, first.by, first.host) == (FIRST.facts, SnapshotState.READY, "ada", "h1")
    assert (second.state, second.note, second.changes) == (SnapshotState.CHECKING, "new uplink", "r2: 1 address")
    assert first.bytes == 6
    assert 0 < first.pushed_ms <= first.checked_ms <= second.pushed_ms
    files = ledger.snapshot_files(FIRST.facts)
    assert files.contents == {path: data for path, (_, data) in FIRST.files.items()}
    assert files.others == ("r1/old.conf",)


def test_each_file_is_stored_once_and_compressed(ledger: Ledger, client: redis.Redis) -> None:
    ledger.push_snapshot(FIRST, by="ada")
    ledger.push_snapshot(SECOND, by="ada")
    meant = {hashed for new in (FIRST, SECOND) for hashed, _ in new.files.values()}
    assert stored_files(client) == meant
    assert len(meant) == 4
    large = snapshot(3, {"r1/addr.json": b"[" + b" " * 100_000 + b"]"})
    ledger.push_snapshot(large, by="ada")
    assert client.strlen("reachq:file:" + large.files["r1/addr.json"][0]) < 1000
    assert all(client.ttl(f"reachq:file:{hashed}") == -1 for hashed in stored_files(client)), "none expires"


def test_a_snapshot_that_is_known_is_not_stored_again(ledger: Ledger, client: redis.Redis) -> None:
    """Also when its files have another text of the same meaning: the first one is kept."""
    ready(ledger, FIRST)
    again = NewSnapshot(
        FIRST.facts, {path: (hashed, b"other") for path, (hashed, _) in FIRST.files.items()}, (), 1, "copy"
    )
    assert ledger.push_snapshot(again, by="bob")[0] is SnapshotState.READY
    (kept,) = ledger.snapshots()
    assert (kept.by, kept.origin) == ("ada", "campus")
    assert ledger.snapshot_files(FIRST.facts).contents["r1/addr.json"] == b"[1]"
    assert set(client.hvals("reachq:file-uses")) == {"1"}


def test_two_snapshots_never_share_a_hash(ledger: Ledger) -> None:
    ready(ledger, FIRST)
    other = snapshot(1, {"r1/addr.json": b"[9]"})
    with pytest.raises(SnapshotConflict):
        ledger.push_snapshot(other, by="mallory")
    assert ledger.snapshot_files(FIRST.facts).contents["r1/addr.json"] == b"[1]"


def test_a_refused_snapshot_says_why_and_may_be_pushed_again(ledger: Ledger, client: redis.Redis) -> None:
    ledger.push_snapshot(FIRST, by="ada")
    why = ["r1/nft.rules:3: syntax error"]
    assert ledger.wanted_snapshots() == WantedSnapshots("", (FIRST.facts,), ())
    assert ledger.settle_check(FIRST.facts, SnapshotState.REFUSED, host="h1", problems=why, warnings=["w"])
    assert not ledger.settle_check(FIRST.facts, SnapshotState.READY, host="h2", problems=[], warnings=[])
    assert ledger.wanted_snapshots() == WantedSnapshots("", (), ())
    refused = ledger.snapshot(FIRST.facts)
    assert (refused.state, refused.problems, refused.warnings) == (SnapshotState.REFUSED, tuple(why), ("w",))
    with pytest.raises(SnapshotNotReady, match="no bench can be built"):
        ledger.use_snapshot(FIRST.facts, by="ada")
    assert ledger.push_snapshot(FIRST, by="bob")[0] is SnapshotState.CHECKING
    assert ledger.snapshot(FIRST.facts).problems == ()
    assert ledger.wanted_snapshots() == WantedSnapshots("", (FIRST.facts,), ())
    assert set(client.hvals("reachq:file-uses")) == {"1"}, "counted once"


def test_one_snapshot_is_current(ledger: Ledger) -> None:
    first, second = ready(ledger, FIRST), ready(ledger, SECOND)
    assert ledger.current_snapshot() == ""
    assert ledger.use_snapshot(first, by="ada") == ""
    assert ledger.use_snapshot(first, by="ada") == first
    assert ledger.use_snapshot(second, by="bob") == first
    assert ledger.wanted_snapshots() == WantedSnapshots(second, (), ())
    assert [one.current for one in ledger.snapshots()] == [True, False]
    assert (ledger.snapshot("current").used_by, ledger.snapshot("current").facts) == ("bob", second)
    assert events(ledger) == [
        ("pushed", first),
        ("checked", first),
        ("pushed", second),
        ("checked", second),
        ("current", first),
        ("current", second),
    ]
    assert ledger.events("0")[-1].kind is Kind.CURRENT
    assert ledger.events("0")[-1].fields["before"] == first


def test_what_is_missing_or_not_checked_cannot_become_current(ledger: Ledger) -> None:
    with pytest.raises(SnapshotNotFound):
        ledger.use_snapshot(FIRST.facts, by="ada")
    ledger.push_snapshot(FIRST, by="ada")
    with pytest.raises(SnapshotNotReady, match="not checked yet"):
        ledger.use_snapshot(FIRST.facts, by="ada")
    assert ledger.current_snapshot() == ""


def test_a_removed_snapshot_takes_only_its_own_files(ledger: Ledger, client: redis.Redis) -> None:
    first, second = ready(ledger, FIRST), ready(ledger, SECOND)
    ledger.remove_snapshot(first, by="ada")
    assert stored_files(client) == {hashed for hashed, _ in SECOND.files.values()}
    ledger.remove_snapshot(second, by="ada")
    assert not [key for key in client.keys("*") if "file" in key or "snapshot" in key or "contents" in key]
    with pytest.raises(SnapshotNotFound):
        ledger.remove_snapshot(second, by="ada")


def test_files_are_shared_between_networks(ledger: Ledger, client: redis.Redis) -> None:
    ready(ledger, FIRST)
    with Ledger.connect(load_settings(redis_url=ledger.settings.redis_url, bench="branch")) as branch:
        ready(branch, FIRST)
        assert set(client.hvals("reachq:file-uses")) == {"2"}
        ledger.remove_snapshot(FIRST.facts, by="ada")
        assert branch.snapshot_files(FIRST.facts).contents["r2/addr.json"] == b"[2]"
        branch.remove_snapshot(FIRST.facts, by="ada")
    assert stored_files(client) == set()


def test_the_current_one_and_pinned_ones_are_kept(ledger: Ledger) -> None:
    first, second = ready(ledger, FIRST), ready(ledger, SECOND)
    ledger.use_snapshot(first, by="ada")
    ledger.pin_snapshot(second, by="bob", why="before the  move")
    pinned = ledger.snapshot(second)
    assert (pinned.pinned, pinned.pinned_by, pinned.pinned_why) == (True, "bob", "before the move")
    with pytest.raises(SnapshotInUse, match="is current"):
        ledger.remove_snapshot(first, by="ada")
    with pytest.raises(SnapshotInUse, match="is pinned"):
        ledger.remove_snapshot(second, by="ada")
    assert ledger.unpin_snapshot(second, by="bob")
    assert not ledger.unpin_snapshot(second, by="bob")
    ledger.remove_snapshot(second, by="ada")
    for act in (ledger.pin_snapshot, ledger.unpin_snapshot):
        with pytest.raises(SnapshotNotFound):
            act(second, by="bob")


def test_the_oldest_go_beyond_the_number_kept(server: Server) -> None:
    with Ledger.connect(load_settings(redis_url=server.url, keep_snapshots=2)) as ledger:
        hashes = [ready(ledger, snapshot(n, {"r1/addr.json": b"%d" % n})) for n in range(1, 7)]
        ledger.use_snapshot(hashes[0], by="ada")
        ledger.pin_snapshot(hashes[1], by="ada")
        assert ledger.retain_snapshots() == [hashes[3], hashes[2]]
        assert [one.facts for one in ledger.snapshots()] == [hashes[5], hashes[4], hashes[1], hashes[0]]
        assert ledger.retain_snapshots() == []


def test_a_snapshot_is_found_by_the_start_of_its_hash(ledger: Ledger) -> None:
    for number in (0xABCD00000001, 0xABCD00000002, 0xABCE00000003):
        ready(ledger, snapshot(number, {"r1/addr.json": b"%d" % number}))
    assert ledger.snapshot("abce").facts == "abce00000003"
    with pytest.raises(SnapshotConflict, match="abcd00000001, abcd00000002"):
        ledger.snapshot("abcd")
    for name in ("abc", "", "ffff", "current", "../x", "ABCE00000003"):
        with pytest.raises(SnapshotNotFound):
            ledger.snapshot(name)


def test_a_file_that_was_lost_is_reported(ledger: Ledger, client: redis.Redis) -> None:
    ready(ledger, FIRST)
    hashed = FIRST.files["r2/addr.json"][0]
    client.set(f"reachq:file:{hashed}", "not zlib")
    with pytest.raises(StoreDamaged, match=r"r2/addr\.json"):
        ledger.snapshot_files(FIRST.facts)
    client.delete(f"reachq:file:{hashed}")
    with pytest.raises(StoreDamaged, match="push it again"):
        ledger.snapshot_files(FIRST.facts)


def test_a_file_removed_during_a_push_is_uploaded_again(
    ledger: Ledger, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last snapshot with the file is removed between the upload and the script."""
    uploads, upload = [], ledger._upload

    def lossy(files: Mapping[str, tuple[str, bytes]]) -> None:
        upload(files)
        uploads.append(1)
        if len(uploads) == 1:
            client.delete("reachq:file:" + files["r1/addr.json"][0])

    monkeypatch.setattr(ledger, "_upload", lossy)
    ready(ledger, FIRST)
    assert len(uploads) == 2
    assert ledger.snapshot_files(FIRST.facts).contents["r1/addr.json"] == b"[1]"


def test_nothing_is_stored_when_memory_is_full(ledger: Ledger, client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    with pytest.raises(StoreFull):
        ledger.push_snapshot(FIRST, by="ada")
    client.config_set("maxmemory", 0)
    assert client.keys("*") == []


def test_a_push_that_ended_halfway_leaves_files_that_expire(ledger: Ledger, client: redis.Redis) -> None:
    ledger._upload(FIRST.files)
    assert all(0 < client.ttl(f"reachq:file:{hashed}") <= 3600 for hashed, _ in FIRST.files.values())


@pytest.mark.parametrize(
    ("field", "new"),
    [
        ("facts", NewSnapshot("xyz", {}, (), 1, "x")),
        ("note", snapshot(1, {}, note="a\x1b[2Jb")),
        ("note", snapshot(1, {}, note="x" * 201)),
        ("origin", snapshot(1, {}, origin="a\0")),
    ],
)
def test_bad_input_is_refused_before_anything_is_stored(
    ledger: Ledger, client: redis.Redis, field: str, new: NewSnapshot
) -> None:
    with pytest.raises(BadInput, match=f"^{field}:"):
        ledger.push_snapshot(new, by="ada")
    assert client.keys("*") == []


def test_one_file_twice_in_a_snapshot_counts_twice(ledger: Ledger, client: redis.Redis) -> None:
    """Two routers with the same nft.rules: the file goes with the snapshot, not before."""
    same = snapshot(7, {"r1/nft.rules": b"x", "r2/nft.rules": b"x"})
    other = snapshot(8, {"r1/nft.rules": b"x"})
    ready(ledger, same)
    ready(ledger, other)
    assert client.hvals("reachq:file-uses") == ["3"]
    ledger.remove_snapshot(same.facts, by="ada")
    assert ledger.snapshot_files(other.facts).contents == {"r1/nft.rules": b"x"}


def test_damaged_counts_never_remove_a_file_that_is_needed(ledger: Ledger, client: redis.Redis) -> None:
    ready(ledger, FIRST)
    ready(ledger, SECOND)
    client.delete("reachq:file-uses")
    ledger.remove_snapshot(FIRST.facts, by="ada")
    assert ledger.snapshot_files(SECOND.facts).contents["r1/addr.json"] == b"[1]"


def test_a_lost_file_is_stored_for_good_when_the_network_is_pushed_again(ledger: Ledger, client: redis.Redis) -> None:
    ready(ledger, FIRST)
    key = "reachq:file:" + FIRST.files["r1/addr.json"][0]
    client.delete(key)
    assert ledger.push_snapshot(FIRST, by="ada") == (SnapshotState.READY, False)
    assert client.ttl(key) == -1


def test_the_first_snapshot_becomes_current_when_it_is_ready(ledger: Ledger) -> None:
    """Whoever stores the result of the check. A later one does not, and neither does one that a user pushed."""
    ledger.push_snapshot(SECOND, by=FIRST_START)
    ledger.push_snapshot(FIRST, by="ada")
    for new in (FIRST, SECOND):
        ledger.settle_check(new.facts, SnapshotState.READY, host="h1", problems=[], warnings=[])
    assert ledger.current_snapshot() == SECOND.facts
    assert (ledger.snapshot("current").used_by, events(ledger)[-1]) == (FIRST_START, ("current", SECOND.facts))
    third = snapshot(3, {"r1/addr.json": b"[3]"})
    ledger.push_snapshot(third, by=FIRST_START)
    ledger.settle_check(third.facts, SnapshotState.READY, host="h1", problems=[], warnings=[])
    assert ledger.current_snapshot() == SECOND.facts
