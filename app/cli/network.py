"""Commands for the networks of the installation."""

from __future__ import annotations

from pathlib import Path

import click

from app.api.network_documents import NetworkDocument, NetworkList
from app.cli.console import columns, style
from app.cli.login_name import login_name
from app.cli.system import data_option, json_option, open_ledger, print_json
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


def _when(one: NetworkDocument) -> str:
    return ago(one.created_ms) if one.created_ms else ""
