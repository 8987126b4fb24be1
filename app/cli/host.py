"""Commands for the hosts of the installation."""

from __future__ import annotations

from pathlib import Path

import click

from app.api.host_documents import HostDocument, HostList
from app.cli.console import columns, style
from app.cli.login_name import login_name
from app.cli.system import data_option, json_option, network_option, open_ledger, print_json
from app.formatting import ago
from dscp.lanes import LANES
from ledger.bench.hosts import HostState
from ledger.runs.records import Pause
from ledger.runs.run import Mode

HEADINGS = ("host", "bench", "quick", "detailed", "bulk", "running", "lanes", "facts", "drained")
COLOURS = {"up": "green", "unknown": "yellow"}


@click.group()
def host() -> None:
    """The hosts of this installation: their state, and maintenance.

    A host is a machine with a bench service and a worker pool. Its name is the setting REACHQ_HOST_NAME.
    """


@host.command("list")
@json_option
@network_option
@data_option
def listing(as_json: bool, data: Path | None) -> None:
    """List the hosts: the state of the bench, the live workers of each mode, the lanes in use, and a drain.

    Workers, runs, lanes and facts are those of one network. A drain applies to all networks.
    """
    found = open_ledger(data).hosts()
    if as_json:
        print_json(HostList(hosts=[HostDocument.of(one) for one in found]))
    else:
        click.echo(table(found))


@host.command()
@click.argument("name")
@click.option("--why", default="", help="The reason, shown with the host.")
@data_option
def drain(name: str, why: str, data: Path | None) -> None:
    """Drain host NAME for maintenance: no run starts there, of any network; running ones finish.

    Runs continue on the other hosts. If every host is drained, runs wait. `reachq host list` shows how many still run.
    """
    ledger = open_ledger(data)
    changed = ledger.drain_host(name, login_name(), why)
    drained = ledger.drains().get(name)
    message = f"host {name} is {drained_by(drained)}" if drained else "another user resumed the host at the same moment"
    click.echo(message if changed else f"{message}; nothing changed")


@host.command()
@click.argument("name")
@data_option
def resume(name: str, data: Path | None) -> None:
    """End the drain of host NAME, so that runs start there again."""
    resumed = open_ledger(data).resume_host(name, login_name())
    click.echo(f"host {name} is resumed: runs will start there" if resumed else f"host {name} is not drained")


def table(hosts: list[HostState]) -> str:
    """Return the hosts as a table, then one line for each fault."""
    rows = [
        [
            one.name,
            style(one.bench, fg=COLOURS.get(one.bench, "red")),
            str(one.workers.get(Mode.QUICK, 0)),
            str(one.workers.get(Mode.DETAILED, 0)),
            str(one.workers.get(Mode.BULK, 0)),
            str(one.running),
            f"{one.lanes_in_use} of {len(LANES)}",
            one.facts[:12] or "unknown",
            drained_by(one.drain) if one.drain else "",
        ]
        for one in hosts
    ]
    lines = [columns([[style(word, bold=True) for word in HEADINGS], *rows])]
    lines += [style(f"  ! host {one.name}: {one.error}", fg="red") for one in hosts if one.error and one.bench != "up"]
    lines += [style(f"  ! {shared(one)}", fg="red") for one in hosts if len(one.machines) > 1]
    if not any(one.machines or one.reported_ms for one in hosts):
        lines.append("  no host has ever reported: start `reachq up`, or a bench service and a worker pool")
    return "\n".join(lines)


def drained_by(drain: Pause) -> str:
    """Return a drain as text: by whom, since when, and why."""
    by = f" by {drain.by}, {ago(drain.since_ms)}" if drain.by else ""
    return f"drained{by}{f': {drain.why}' if drain.why else ''}"


def shared(host: HostState) -> str:
    """Return the warning about machines that share the name of a host, and what to do."""
    machines = ", ".join(host.machines)
    return (
        f"{len(host.machines)} machines have the host name {host.name}: {machines}; give each its own REACHQ_HOST_NAME"
    )
