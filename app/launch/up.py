"""Builds one whole system: the settings, the embedded server if no other is configured, and the Procfile's processes.

The Procfile defines the processes. `reachq up` adds the addresses by which they find each other (REACHQ_* in their
environment), keeps them running, and ends them when it ends itself.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import click
from honcho.environ import parse_procfile

from app.cli.console import style
from app.launch import embedded
from app.launch.embedded import StartError
from app.launch.first_password import FirstPassword
from app.launch.lines import OutputLines
from app.launch.startup_script import welcome
from app.launch.supervisor import Part, Supervisor
from app.people.token import load_or_create_token
from ledger.errors import StoreRefused, StoreUnavailable, UnsuitableStore
from ledger.settings import DATA, Settings, load_settings
from ledger.store import AppLedger
from netlab.facts.reader import NetworkFacts, load
from netlab.facts.sample import network_folder
from netlab.service.private_folder import UMASK

PROCFILE = Path(__file__).resolve().parents[1] / "data" / "Procfile"
"""The Procfile, as part of the package. In a checkout it is a link to the top-level Procfile."""
STAGES = {"workers": 3, "dispatcher": 3, "web": 2, "bench": 2}
"""Order of stopping, highest first. Sources of new work end first, then the processes that serve it.

The embedded server has stage 0 and ends last.
"""
PATIENCE = 4
"""Number of consecutive deaths of one process, before the system was ever ready, after which the start has failed."""


def run_system(
    *, data: Path | None, network: Path | None, host: str | None, port: int | None, first: bool, colour: bool
) -> int:
    """Start everything, block until a signal arrives, and return the exit code.

    Errors are raised only before the first process is started.
    """
    began = time.monotonic()
    settings = load_settings(data=data, network=network, host=host, port=port)
    named = network is not None
    folder = network_folder(settings.network).absolute()
    settings = settings.model_copy(update={"data": settings.data.absolute(), "network": folder})
    facts = load(folder)
    if settings.redis_url:
        reach(settings)
    os.umask(UMASK)  # the processes started below inherit it
    embedded.prepare(settings.data)
    lock = embedded.take_lock(settings.data)
    load_or_create_token(settings)  # report problems with it now
    settings = settings.model_copy(update={"port": free_port(settings.host, settings.port)})
    password = FirstPassword()
    parts = [*server(settings, lock), *processes(settings, password)]
    if named:
        parts.append(push_of_the_folder(settings))
    lines = OutputLines(colour=colour, width=max(len(part.name) for part in parts))
    supervisor = Supervisor(parts, lines, patience=PATIENCE)

    def ready() -> None:
        supervisor.patience = 0

    question = first_question(facts) if first else None
    supervisor.script = welcome(
        settings,
        lines,
        began=began,
        question=question,
        reachq=command_line(),
        first_password=password.read,
        ready=ready,
    )
    if left := older_data(settings):
        lines.say(left)
    lines.say(f"starting {', '.join(part.name for part in parts)}; Ctrl-C stops everything")
    code = supervisor.run()
    if supervisor.failure:
        click.echo(f"{style('reachq:', fg='red')} {supervisor.failure}", err=True)
    return code


def older_data(settings: Settings) -> str:
    """Return a hint for users of an older version, which kept its data in the folder `var` of the current folder.

    The text is empty if there is no such data.
    """
    older = Path("var")
    if settings.redis_url or settings.data != DATA.expanduser() or not (older / "appendonlydir").is_dir():
        return ""
    return f"the runs and users of an older version are in {older.absolute()}; to continue with them: --data {older}"


def reach(settings: Settings) -> None:
    """Examine the configured Redis. Raises StartError if it does not answer or is unsuitable."""
    with AppLedger.connect(settings) as ledger:
        try:
            ledger.vet(lambda warning: None)  # each process prints its warnings
        except (StoreRefused, UnsuitableStore) as error:
            raise StartError(str(error)) from None
        except StoreUnavailable as error:
            raise StartError(
                f"the Redis server in REACHQ_REDIS_URL: {error} Start it, or correct the address"
            ) from None


def server(settings: Settings, lock: int) -> list[Part]:
    """Return the embedded server as a part, or no parts if another server is configured."""
    if settings.redis_url:
        return []
    command = embedded.server_command(settings.data, settings.memory_mb)
    return [
        Part(
            "redis",
            command,
            os.environ | embedded.ENVIRONMENT,
            stage=0,
            on_orphaned=signal.SIGTERM,  # closes its files and removes its socket
            pass_fds=(lock,),
            before_start=lambda: embedded.server_command(settings.data, settings.memory_mb),  # a socket left by a crash
            shows=embedded.ServerLog(settings.data),
        )
    ]


def processes(settings: Settings, password: FirstPassword) -> list[Part]:
    """Return the Procfile's processes as parts.

    Each is run by the shell, as honcho does, with this Python first in the PATH. Only the web server gets the
    descriptor for the first admin's password.
    """
    try:
        named = parse_procfile(PROCFILE.read_text()).processes
    except OSError as error:
        raise StartError(f"{PROCFILE}: {error.strerror}; reinstall reachq") from None
    env = environment(settings)
    parts = []
    for name, command in named.items():
        kind = name.rstrip("0123456789")
        part = Part(name, ["/bin/sh", "-c", f"exec {command}"], env, stage=STAGES.get(kind, 2))
        if kind == "web":
            part = replace(part, env={**env, **password.environment}, pass_fds=(password.descriptor,))
        parts.append(part)
    return parts


def push_of_the_folder(settings: Settings) -> Part:
    """Return the task that makes the facts folder that the user named the current snapshot."""
    command = [sys.executable, "-m", "app.launch.first_facts"]
    return Part("facts", command, environment(settings), stage=STAGES["web"], once=True)


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of every process: ours, with the values that `reachq up` has decided."""
    return {
        **os.environ,
        "REACHQ_DATA": str(settings.data),
        "REACHQ_NETWORK": str(network_folder(settings.network)),
        "REACHQ_HOST": settings.host,
        "REACHQ_PORT": str(settings.port),
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # a folder named `app` in the current folder is not ours
    }


def free_port(host: str, port: int) -> int:
    """Return `port` if it is free, or any free port for 0. Raises StartError, which says what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return int(probe.getsockname()[1])
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                remedy = "choose another with --port N, or 0 for any"
            else:
                remedy = "use an address of this machine: --host ADDRESS"
            raise StartError(f"port {port} on {host}: {error.strerror}; {remedy}") from None


def first_question(facts: NetworkFacts) -> tuple[str, str, str]:
    """Return the test that shows that the system works: source, destination, services."""
    services = "22,80,443/tcp,53/udp,icmp"
    if facts.name == "campus":
        return "10.1.10.20", "10.3.20.8", services
    networks = sorted(
        {
            address.network
            for router in facts.routers
            for interface in router.interfaces
            if interface.up and not interface.loopback
            for address in interface.addresses
            if address.network.prefixlen <= 29
        }
    )
    if not networks:
        return "192.0.2.10", "198.51.100.10", services
    # the second-last address of the first and of the last subnet: rarely a router's
    return str(networks[0][-2]), str(networks[-1][-3]), services


def command_line() -> str:
    """Return how the user would type this command again: `reachq`, or the path by which it was started."""
    script = Path(sys.argv[0])
    try:
        shown = script.resolve().relative_to(Path.cwd().resolve())
    except ValueError:
        shown = script
    return shlex.quote(str(shown)) if re.search(r"reachq$", str(shown)) else "reachq"
