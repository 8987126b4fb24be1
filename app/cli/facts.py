"""Commands for facts, and for the snapshots that are made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import msgspec

from app.api.snapshot_documents import SnapshotDocument, SnapshotList
from app.cli import remote_diff, snapshot_tables
from app.cli.facts_changes import facts_changes
from app.cli.login_name import login_name
from app.cli.netlab_process import run_netlab
from app.cli.system import data_option, json_option, network_option, open_ledger, print_json, remote_api
from app.snapshots.push import changes_between, push_path, wait_for_check
from ledger.snapshots.records import Snapshot, SnapshotState
from netlab.facts.reader import collect_script, load
from netlab.facts.sources import stored
from netlab.facts.sources.files import Unreadable

REFUSED = 2
"""Exit code for facts that cannot be used."""


@click.group()
def facts() -> None:
    """Facts of the routers, and the snapshots made of them."""


@facts.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--offline", is_flag=True, help="Only read the files; do not load them into the kernel.")
@click.option(
    "--strict", is_flag=True, help="Refuse rules with a match that this machine cannot evaluate (exit code 2)."
)
def check(folder: Path, offline: bool, strict: bool) -> int:
    """Read the facts in FOLDER, one folder for each router, and report every error with file and line.

    Then load them once into temporary namespaces, because only the kernel can confirm that they work.
    """
    network = load(folder)
    if not offline:
        return run_netlab("--check", str(folder), *(["--strict"] if strict else []))
    count = len(network.routers)
    click.echo(f"{folder}: {count} router{'' if count == 1 else 's'}, facts {network.digest}, readable")
    for warning in network.warnings:
        click.echo(f"WARNING {warning}")
    return 0


@facts.command()
def collect() -> None:
    """Print the script that saves the facts of a router.

    Run it on each router as root: `reachq facts collect > collect.sh`, then `sh collect.sh` on the router. The script
    does not change the router's configuration. It stops at the first command that fails, and otherwise writes one archive
    (ROUTER.tar.gz) to unpack in the network's folder.
    """
    click.echo(collect_script(), nl=False)


@facts.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--use", is_flag=True, help="Make the snapshot current when a host has checked it.")
@click.option("--note", default="", help="A note for the list of snapshots.")
@click.option("--wait/--no-wait", default=True, help="Wait until a host has built a bench from it; default --wait.")
@json_option
@network_option
@data_option
def push(path: Path, use: bool, note: str, wait: bool, as_json: bool, data: Path | None) -> int:
    """Store the facts in PATH, a folder or a tar archive, as a snapshot of the network.

    A host then builds a bench from it. If that fails, the snapshot is refused, and every error is printed with file and
    line (exit code 2). Runs are tested on the current snapshot; with --use, that is the new one.
    """
    if use and not wait:
        raise click.UsageError("--use needs the result of the check: leave out --no-wait")
    if api := remote_api(data):
        snapshot, new = remote_diff.push(api, path, note=note)
        if use and snapshot.state is SnapshotState.READY:
            api.post(f"/api/snapshots/{snapshot.facts}/use", None)
            snapshot = replace(snapshot, current=True)
        return _pushed(snapshot, new=new, as_json=as_json)
    ledger = open_ledger(data)
    pushed = push_path(ledger, path, by=login_name(), note=note)
    snapshot = wait_for_check(ledger, pushed.facts) if wait else ledger.snapshot(pushed.facts)
    if snapshot.state is SnapshotState.READY and use:
        ledger.use_snapshot(pushed.facts, by=login_name())
        snapshot = ledger.snapshot(pushed.facts)
    return _pushed(snapshot, new=pushed.new, as_json=as_json)


def _pushed(snapshot: Snapshot, *, new: bool, as_json: bool) -> int:
    """Print a snapshot that was pushed. Returns the exit code."""
    if as_json:
        print_json(SnapshotDocument.of(snapshot))
    else:
        click.echo(snapshot_tables.pushed(snapshot, new=new))
    return REFUSED if snapshot.state is SnapshotState.REFUSED else 0


@facts.command()
@click.argument("before")
@click.argument("after", default="current")
@json_option
@network_option
@data_option
def diff(before: str, after: str, as_json: bool, data: Path | None) -> int:
    """Show what changed from snapshot BEFORE to AFTER, by router and rule; AFTER is `current` by default.

    The exit code is 0 if nothing changed, otherwise 1.
    """
    ledger = open_ledger(data)
    found = changes_between(ledger, ledger.snapshot(before).facts, ledger.snapshot(after).facts)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        click.echo(facts_changes(found))
    return int(bool(found))


@facts.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, help="Number of snapshots; default 20.")
@json_option
@network_option
@data_option
def listing(limit: int, as_json: bool, data: Path | None) -> None:
    """List the snapshots of the network, newest first."""
    found = open_ledger(data).snapshots(limit=limit)
    if as_json:
        print_json(SnapshotList(snapshots=[SnapshotDocument.of(one) for one in found]))
    else:
        click.echo(snapshot_tables.listed(found))


@facts.command()
@click.argument("snapshot", default="current")
@json_option
@network_option
@data_option
def show(snapshot: str, as_json: bool, data: Path | None) -> None:
    """Show SNAPSHOT: its facts hash, the start of it, or `current`, which is the default."""
    found = open_ledger(data).snapshot(snapshot)
    if as_json:
        print_json(SnapshotDocument.of(found))
    else:
        click.echo(snapshot_tables.one(found))


@facts.command()
@click.argument("snapshot")
@network_option
@data_option
def use(snapshot: str, data: Path | None) -> None:
    """Make SNAPSHOT current: new runs are tested on it. Runs that are being tested finish on the earlier one."""
    ledger = open_ledger(data)
    facts = ledger.snapshot(snapshot).facts
    before = ledger.use_snapshot(facts, by=login_name())
    if before == facts:
        click.echo(f"{facts} was current already")
        return
    was = f" (before: {before})" if before else ""
    click.echo(f"{facts} is current now{was}: new runs are tested on it as soon as its bench is ready")


@facts.command()
@click.argument("snapshot")
@click.option("--why", default="", help="The reason, shown in the list.")
@network_option
@data_option
def pin(snapshot: str, why: str, data: Path | None) -> None:
    """Keep SNAPSHOT until `reachq facts unpin`. Otherwise, only the newest REACHQ_KEEP_SNAPSHOTS are kept."""
    ledger = open_ledger(data)
    facts = ledger.snapshot(snapshot).facts
    ledger.pin_snapshot(facts, by=login_name(), why=why)
    click.echo(f"{facts} is pinned")


@facts.command()
@click.argument("snapshot")
@network_option
@data_option
def unpin(snapshot: str, data: Path | None) -> None:
    """Remove the pin of SNAPSHOT."""
    ledger = open_ledger(data)
    facts = ledger.snapshot(snapshot).facts
    click.echo(
        f"{facts} is not pinned any more" if ledger.unpin_snapshot(facts, by=login_name()) else f"{facts} has no pin"
    )


@facts.command()
@click.argument("snapshot")
@network_option
@data_option
def remove(snapshot: str, data: Path | None) -> None:
    """Remove SNAPSHOT, unless it is current or pinned."""
    ledger = open_ledger(data)
    facts = ledger.snapshot(snapshot).facts
    ledger.remove_snapshot(facts, by=login_name())
    click.echo(f"{facts} is removed")


@facts.command()
@click.argument("snapshot")
@click.argument("folder", type=click.Path(path_type=Path))
@network_option
@data_option
def get(snapshot: str, folder: Path, data: Path | None) -> None:
    """Write the files of SNAPSHOT into FOLDER, which must not exist yet."""
    ledger = open_ledger(data)
    facts = ledger.snapshot(snapshot).facts
    files = ledger.snapshot_files(facts)
    if folder.exists():
        raise click.UsageError(f"{folder} exists: give the name of a new folder")
    try:
        stored.write(folder.absolute(), files.contents, files.others)
    except OSError as bad:
        raise click.ClickException(f"{folder}: {bad.strerror}") from None
    except Unreadable as bad:
        raise click.ClickException(f"snapshot {facts} {bad}") from None
    click.echo(f"{folder}: {len(files.contents)} files of snapshot {facts}")
