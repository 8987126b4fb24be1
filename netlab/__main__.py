"""The bench process: `python -m netlab --network DIR`. Also `--service`, `--check DIR`, `--doctor`, `--shell ROUTER`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an import can lose a KeyboardInterrupt

from netlab import doctor, log_output, shell, terminal
from netlab.benches.client import service_address
from netlab.benches.service import BenchService
from netlab.errors import FactsError, NetlabError, Problem
from netlab.facts import reader
from netlab.facts.reader import NetworkFacts
from netlab.facts.sample import network_folder
from netlab.kernel import namespaces, prctl
from netlab.live.build import LiveNetwork, build
from netlab.rules.loaded_rules import loaded_rules
from netlab.rules.native_tables import loadable
from netlab.rules.uncertain import Kind
from netlab.service.address import DATA, default_address, is_abstract
from netlab.service.executor import BenchBroken
from netlab.service.listener import listen
from netlab.service.private_folder import UMASK, FolderError, make_private
from netlab.service.server import BenchServer
from netlab.topology.mistakes import likely_mistakes, number_of_sets, rules_of

log = logging.getLogger("reachq.bench")

EXIT_BAD_FACTS, EXIT_BROKEN = 2, 1


def main() -> int:
    """Parse the command line and run the chosen command. Return the exit code."""
    before = os.umask(UMASK)
    options = _options()
    try:
        if options.shell:
            os.umask(before)
            return shell.run(_address(options), options.shell, options.command)
        if options.check:
            return _check(options.check, strict=options.strict)
        if options.doctor:
            return doctor.examine(options.network)
        environ = os.environ
        log_output.configure("bench", environ.get("REACHQ_LOG_LEVEL", "info"), environ.get("REACHQ_LOG_FORMAT", "text"))
        return _serve_benches(options) if options.service else _serve(options)
    except log_output.LogSettingError as bad:
        print(f"bench: {bad}", file=sys.stderr)
        return EXIT_BAD_FACTS
    except FactsError as bad:
        print(f"bench: the facts cannot be used:\n{bad}", file=sys.stderr)
        return EXIT_BAD_FACTS
    except NetlabError as bad:
        print(f"bench: {bad}", file=sys.stderr)
        return EXIT_BROKEN


def _options() -> argparse.Namespace:
    environ = os.environ
    parser = argparse.ArgumentParser(prog="python -m netlab", description="The bench: a kernel replica of a network.")
    parser.add_argument(
        "--network",
        type=Path,
        default=network_folder(Path(environ["REACHQ_NETWORK"]) if environ.get("REACHQ_NETWORK") else None),
        help="folder of router facts (REACHQ_NETWORK; by default the sample network)",
    )
    parser.add_argument(
        "--socket",
        default=environ.get("REACHQ_BENCH_SOCKET") or "",
        help="address to listen on, a path or @name (REACHQ_BENCH_SOCKET; default bench-NAME.sock in REACHQ_DATA)",
    )
    parser.add_argument(
        "--service", action="store_true", help="open and close benches on request, instead of running one of them"
    )
    parser.add_argument("--name", default="", help="name of the network to show; by default that of the folder")
    parser.set_defaults(data=Path(environ.get("REACHQ_DATA") or DATA), bench=environ.get("REACHQ_BENCH") or "main")
    parser.add_argument(
        "--check", type=Path, metavar="DIR", help="load the facts in DIR into the kernel once and report"
    )
    parser.add_argument(
        "--strict", action="store_true", help="for --check: refuse rules that this machine cannot evaluate"
    )
    parser.add_argument(
        "--doctor", action="store_true", help="check whether this machine can run the network's replica"
    )
    parser.add_argument(
        "--shell", metavar="ROUTER", help="run COMMAND, or a shell, in the namespace of a router of the running bench"
    )
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="for --shell, after `--`")
    options = parser.parse_args()
    if options.command and not options.shell:
        parser.error(f"unrecognized arguments: {' '.join(options.command)}")
    return options


def _address(options: argparse.Namespace) -> str:
    return options.socket or default_address(options.data.expanduser(), options.bench)


def _check(folder: Path, *, strict: bool) -> int:
    gc.disable()  # the facts remain in memory; garbage collection would take most of the time in a large network
    facts = reader.load(folder)
    namespaces.isolate()
    network = build(facts)
    interfaces = sum(len(router.interfaces) for router in facts.routers)
    print(
        f"{folder}: OK: {len(facts.routers)} routers, {interfaces} interfaces, "
        f"{len(network.topology.segments)} segments, facts {facts.digest}"
    )
    _print_routers(facts)
    lacking = _lacking(network)
    for warning in _warnings(network, lacking):
        print(f"WARNING {warning}")
    assumed = [router.name for router in facts.routers if router.netconf is None]
    if assumed:
        some = ", ".join(assumed[:5]) + (f" and {len(assumed) - 5} more" if len(assumed) > 5 else "")
        print(f"note    without netconf.json, forwarding is assumed to be on and rp_filter off: {some}")
    for note in _notes(network):
        print(f"note    {note}")
    network.close()
    return EXIT_BAD_FACTS if strict and lacking else 0


def _print_routers(facts: NetworkFacts) -> None:
    """Print one line for each router: how much of everything was read."""
    width = max(len(router.name) for router in facts.routers)
    print(f"{'router':{width}}  interfaces  addresses  routes  policy rules  firewall rules  sets")
    for router in facts.routers:
        addresses = sum(len(interface.addresses) for interface in router.interfaces)
        policies = "default" if router.rules is None else str(len(router.rules))
        print(
            f"{router.name:{width}}  {len(router.interfaces):10}  {addresses:9}  {len(router.routes):6}  {policies:>12}  "
            f"{len(rules_of(router)):14}  {number_of_sets(router):4}"
        )


def _warnings(network: LiveNetwork, lacking: list[Problem]) -> list[Problem]:
    """Return what is probably missing or wrong in the facts, and what this machine cannot evaluate."""
    return [*network.facts.warnings, *likely_mistakes(network.facts, network.topology), *lacking]


def _lacking(network: LiveNetwork) -> list[Problem]:
    """Return a problem for each rule with a match or a target that this machine cannot evaluate."""
    why = {
        Kind.LACKING: "this machine cannot evaluate a match of this rule; answers that depend on it are UNKNOWN",
        Kind.TARGET: "this machine cannot evaluate the target of this rule; answers that depend on it are UNKNOWN",
    }
    uncertain = (
        one
        for router in network.facts.routers
        for one in loaded_rules(router, network.lacking[router.name]).rules.values()
        if one.kind in why
    )
    listed = sorted(uncertain, key=lambda one: (one.rule.file, one.rule.line))
    return [Problem(one.rule.file, one.rule.line, f"`{one.rule.text}`: {why[one.kind]}") for one in listed]


def _notes(network: LiveNetwork) -> Iterator[Problem]:
    """Yield what is left out of the rules because it decides nothing about the first packet of a connection."""
    for router in network.facts.routers:
        yield from loadable(router).notes
        for rule in loaded_rules(router, network.lacking[router.name]).silent:
            yield Problem(rule.file, rule.line, f"`{rule.text}`: its target is left out; it decides nothing")


def _serve(options: argparse.Namespace) -> int:
    started = time.monotonic()
    gc.disable()  # the facts remain in memory, as in _check
    facts = reader.load(options.network)
    if options.name:
        facts = replace(facts, name=options.name)
    # Listen before isolating: an abstract socket name belongs to the network namespace in which it was created.
    listener = listen(options.socket or _address_in(options.data, options.bench))
    try:
        _isolate_keeping_parent_death_signal()
        network = build(facts)
        gc.freeze()
        gc.enable()
        what = f"{len(facts.routers)} routers, facts {facts.digest}, network {facts.name}"
        ready = f"bench ready: {what}, built in {time.monotonic() - started:.2f} s"
        server = BenchServer(network, lambda: tuple(map(str, _warnings(network, _lacking(network)))))
        asyncio.run(_until_told(server.serve(listener.socket), ready))
    except BenchBroken as broken:
        log.error("bench: %s; start a new bench", broken)
        return EXIT_BROKEN
    finally:
        listener.close()
    return 0


def _serve_benches(options: argparse.Namespace) -> int:
    """Open and close benches on request, until a signal arrives."""
    bench = options.socket or _address_in(options.data, options.bench)
    address = service_address(bench)
    if is_abstract(bench) or bench == address:
        raise NetlabError(f"REACHQ_BENCH_SOCKET: {bench} cannot be used with --service: give a path, not {address}")
    listener = listen(address)
    try:
        ready = f"bench service ready at {address}"
        asyncio.run(_until_told(BenchService().serve(listener.socket), ready))
    finally:
        listener.close()
    return 0


def _address_in(data: Path, bench: str) -> str:
    """Return the default address, in a data folder that other users cannot enter. Raises FolderError."""
    try:
        folder = data.expanduser()
    except RuntimeError as error:
        raise FolderError(f"data folder {data}: {error}; choose another with REACHQ_DATA") from None
    make_private(folder)
    return default_address(folder, bench)


async def _until_told(service: Coroutine[object, object, None], ready: str) -> None:
    """Serve until SIGINT or SIGTERM."""
    serving = asyncio.ensure_future(service)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    print(ready, flush=True)  # only now, because a signal can end the bench cleanly from here on
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _isolate_keeping_parent_death_signal() -> None:
    """Isolate this process, and then set its parent-death signal again.

    Entering a user namespace may clear the signal. Raises NetlabError if the parent has ended in the meantime.
    """
    number = prctl.parent_death_signal()
    parent = os.getppid()
    namespaces.isolate()
    if number:
        prctl.set_parent_death_signal(number)
        if os.getppid() != parent:
            raise NetlabError("the process that started the bench has ended")


if __name__ == "__main__":
    terminal.guard()
    sys.exit(main())
