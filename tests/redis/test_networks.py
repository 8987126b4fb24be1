"""Several networks in one installation: added, listed, kept apart and removed."""

from __future__ import annotations

import pytest
import redis

from ledger.errors import BadInput, NetworkInUse, NetworkNotFound, SnapshotNotFound, TooManyNetworks
from ledger.events import Kind
from ledger.networks.records import NETWORKS_MAX, Network
from ledger.redis.keys import NO_BENCH
from ledger.runs.requests import RunRequest
from ledger.runs.run import State
from ledger.snapshots.records import NewSnapshot, SnapshotState
from ledger.store import Ledger

ASKED = RunRequest.parse("10.1.10.20", "10.3.20.8", "443")
SNAPSHOT = NewSnapshot("0123456789ab", {"r1/addr.json": ("a" * 64, b"[]")}, (), 1, "lab")


def kinds(ledger: Ledger) -> list[str]:
    return [str(event.kind) for event in ledger.events("0-0", block_ms=None)]


def test_the_network_of_the_settings_is_there_from_the_start(ledger: Ledger) -> None:
    assert ledger.network_names() == ["main"]
    assert ledger.networks() == [Network("main", 0, "")]
    assert ledger.of_network("main") is ledger


def test_a_network_is_added_once(ledger: Ledger) -> None:
    assert ledger.add_network("lab", by="ada")
    assert not ledger.add_network("lab", by="bob")
    assert ledger.network_names() == ["lab", "main"]
    (added,) = ledger.events("0-0", block_ms=None)
    assert (added.kind, added.bench, added.fields["by"]) == (Kind.NETWORK_ADDED, "lab", "ada")
    assert ledger.networks()[0].created_ms == added.ms


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "lab_1", "l" * 32, "lab\n", "lab-0123456789ab", *sorted(NO_BENCH)])
def test_a_bad_name_is_refused(ledger: Ledger, client: redis.Redis, name: str) -> None:
    with pytest.raises(BadInput, match="network"):
        ledger.add_network(name, by="ada")
    assert not client.keys("*")


def test_the_number_of_networks_is_limited(ledger: Ledger) -> None:
    for number in range(NETWORKS_MAX):
        assert ledger.add_network(f"n{number}", by="ada")
    with pytest.raises(TooManyNetworks, match=f"There are {NETWORKS_MAX} networks"):
        ledger.add_network("one-more", by="ada")
    assert not ledger.add_network("n3", by="ada")


def test_an_unknown_network_is_named_with_the_known_ones(ledger: Ledger) -> None:
    ledger.add_network("lab", by="ada")
    with pytest.raises(
        NetworkNotFound, match=r"no network lbo. Choose one of lab, main, or add it with `reachq network"
    ):
        ledger.of_network("lbo")


def test_the_runs_and_snapshots_of_networks_are_kept_apart(ledger: Ledger) -> None:
    ledger.add_network("lab", by="ada")
    lab = ledger.of_network("lab")
    assert lab.of_network("main").bench == "main"
    lab.push_snapshot(SNAPSHOT, by="ada")
    lab.settle_check(SNAPSHOT.facts, SnapshotState.READY, host="h1", problems=[], warnings=[])
    lab.use_snapshot(SNAPSHOT.facts, by="ada")
    assert (ledger.snapshots(), ledger.current_snapshot()) == ([], "")
    assert [network.current for network in ledger.networks()] == [SNAPSHOT.facts, ""]
    run, _ = lab.submit(ASKED, user="ada")
    assert run.bench == "lab"
    assert [ledger.runs(state=State.PENDING)[1], lab.runs(state=State.PENDING)[1]] == [0, 1]
    assert lab.cancel(run.id).state is State.CANCELLED


def test_a_network_with_runs_is_kept(ledger: Ledger) -> None:
    ledger.add_network("lab", by="ada")
    run, _ = ledger.of_network("lab").submit(ASKED, user="ada")
    with pytest.raises(NetworkInUse, match=r"has runs that wait or are tested \(1\)"):
        ledger.remove_network("lab", by="ada")
    ledger.of_network("lab").cancel(run.id)
    ledger.remove_network("lab", by="ada")
    assert ledger.run(run.id).bench == "lab", "the history is kept"


def test_the_network_of_the_settings_is_kept(ledger: Ledger) -> None:
    ledger.add_network("main", by="start")
    with pytest.raises(NetworkInUse, match="REACHQ_NETWORK_NAME"):
        ledger.remove_network("main", by="ada")
    ledger.add_network("lab", by="ada")
    with pytest.raises(NetworkInUse, match="REACHQ_NETWORK_NAME"):
        ledger.of_network("lab").remove_network("main", by="ada")


def test_a_removed_network_leaves_no_snapshot_and_no_file(ledger: Ledger, client: redis.Redis) -> None:
    ledger.add_network("lab", by="ada")
    lab = ledger.of_network("lab")
    lab.push_snapshot(SNAPSHOT, by="ada")
    lab.settle_check(SNAPSHOT.facts, SnapshotState.READY, host="h1", problems=[], warnings=[])
    lab.use_snapshot(SNAPSHOT.facts, by="ada")
    lab.pin_snapshot(SNAPSHOT.facts, by="ada")
    ledger.remove_network("lab", by="ada")
    assert client.keys("*") == ["reachq:events"]
    assert kinds(ledger)[-3:] == ["network-removed", "unpinned", "dropped"]
    with pytest.raises(NetworkNotFound):
        ledger.remove_network("lab", by="ada")
    with pytest.raises(SnapshotNotFound):
        lab.snapshot(SNAPSHOT.facts)


def test_a_run_for_a_network_that_was_removed_meanwhile_is_refused(ledger: Ledger, client: redis.Redis) -> None:
    ledger.add_network("lab", by="ada")
    lab = ledger.of_network("lab")
    ledger.remove_network("lab", by="ada")
    with pytest.raises(NetworkNotFound, match="lab"):
        lab.submit(ASKED, user="ada")
    with pytest.raises(NetworkNotFound, match="lab"):
        lab.push_snapshot(SNAPSHOT, by="ada")
    assert sorted(client.keys("reachq:*")) == ["reachq:events", f"reachq:file:{'a' * 64}"]


def test_lists_of_ended_runs_are_those_of_the_network(ledger: Ledger) -> None:
    one, _ = ledger.submit(ASKED, user="ada")
    ledger.cancel(one.id)
    assert [run.id for run in ledger.runs()[0]] == [run.id for run in ledger.search(user="ada")[0]] == [one.id]
    ledger.add_own_network(by="start")
    ledger.add_network("lab", by="ada")
    lab = ledger.of_network("lab")
    other, _ = lab.submit(ASKED, user="ada")
    lab.cancel(other.id)
    for its, run in ((ledger, one), (lab, other)):
        assert [found.id for found in its.runs()[0]] == [run.id]
        assert [found.id for found in its.runs(state=State.CANCELLED)[0]] == [run.id]
        assert [found.id for found in its.search(user="ada")[0]] == [run.id]
        assert [found.id for found in its.queue(limit=5).finished] == [run.id]
    assert ledger.run_starting_with(other.id[:12]).id == other.id, "an id is found in every network"


def test_a_network_without_runs_is_not_damaged(ledger: Ledger) -> None:
    """Ended runs of another network do not mean that a counter of this one is missing."""
    ledger.add_network("lab", by="ada")
    lab = ledger.of_network("lab")
    for its in (ledger, lab):
        its.lead("d1")
    lab.cancel(lab.submit(ASKED, user="ada")[0].id)
    assert not ledger.repair_keys()
    assert not lab.repair_keys()
    ledger.remove_network("lab", by="ada")
    assert not ledger.repair_keys()
