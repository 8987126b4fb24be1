"""Commands for the networks of the installation."""

from __future__ import annotations

from pathlib import Path

import click

from app.api.network_documents import NetworkDocument, NetworkList
from app.changes.questions import flows_of
from app.cli.console import columns, style
from app.cli.diff import read_rows_file
from app.cli.login_name import login_name
from app.cli.system import data_option, json_option, network_option, open_ledger, print_json
from app.formatting import ago


@click.group()
def network() -> None:
    """The networks of this installation.

    Each has its own snapshots, queue, lanes and workers. Other commands take --network NAME.
    """


@network.command("list")
@json_option
@data_option
def listing(as_json: bool, data: Path | None) -> None:
    """List the networks."""
    ledger = open_ledger(data)
    found = [NetworkDocument.of(one, own=ledger.settings.own_network) for one in ledger.networks()]
    if as_json:
        print_json(NetworkList(networks=found))
        return
    head = [style(word, bold=True) for word in ("network", "", "current snapshot", "added")]
    rows = [[one.name, "default" if one.default else "", one.current or "none", _when(one)] for one in found]
    click.echo(columns([head, *rows]))


@network.command()
@click.argument("name")
@data_option
def add(name: str, data: Path | None) -> None:
    """Add network NAME, without a snapshot.

    Then give it one: `reachq facts push FOLDER --use --network NAME`. Every host starts workers for it within
    some seconds. With users of your own in Redis, load the rules of the new network first (`reachq redis acl`).
    """
    if open_ledger(data).add_network(name, by=login_name()):
        click.echo(f"network {name} is added; give it facts: reachq facts push FOLDER --use --network {name}")
    else:
        click.echo(f"network {name} already exists; nothing changed")


@network.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@data_option
def remove(name: str, yes: bool, data: Path | None) -> None:
    """Remove network NAME and its snapshots. Its finished runs are kept; `reachq show RUN` shows one."""
    ledger = open_ledger(data)
    ledger.of_network(name)
    if not yes and not click.confirm(f"Remove network {name} and all its snapshots?"):
        click.echo("nothing was done")
        return
    ledger.remove_network(name, by=login_name())
    click.echo(f"network {name} is removed")


@network.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--clear", is_flag=True, help="Remove all management flows.")
@network_option
@data_option
def flows(file: Path | None, clear: bool, data: Path | None) -> None:
    """Show the management flows of a network, or replace them with the rows of FILE (- for standard input).

    Every comparison (`reachq diff`) asks these questions as well, and warns of a possible lock-out if one of them no longer
    works after the change. Each row has source, destination and services: `10.1.99.10, 10.3.20.1, 22`.
    """
    if clear and file:
        raise click.UsageError("give either FILE or --clear")
    ledger = open_ledger(data)
    if file is None and not clear:
        click.echo(
            ledger.management_flows().rstrip("\n") or "no management flows; `reachq network flows FILE` sets them"
        )
        return
    rows = read_rows_file(file, flows=True) if file else ""
    ledger.set_management_flows(rows, by=login_name())
    number = len(flows_of(rows))
    click.echo(f"{number} management flow{'' if number == 1 else 's'} of network {ledger.bench}")


def _when(one: NetworkDocument) -> str:
    return ago(one.created_ms) if one.created_ms else ""
