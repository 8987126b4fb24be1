"""Hostile facts: nothing outside the network's folder is read, written or run, and each is refused with file and line."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netlab.errors import FactsError
from netlab.facts import reader
from tests.bench.fuzz_facts import fuzz
from tests.bench.test_facts_errors import check
from tests.bench.test_small_networks import line_of_two
from tests.support.hostile_facts import ATTACKS, FILTER, SETS, Attack

SECRET = "hostile-facts-secret-4711"
_events: list[tuple[str, tuple[Any, ...]]] = []
_watching = False


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in ("open", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"):
        _events.append((event, arguments))


sys.addaudithook(_note)


@contextlib.contextmanager
def watched() -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """Record which files Python opens and which programs it starts."""
    global _watching
    _events.clear()
    _watching = True
    try:
        yield _events
    finally:
        _watching = False


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the network's, with a secret and a program; nothing in it may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(f"{SECRET}\n")
    (folder / "run").write_text(f"#!/bin/sh\ntouch {folder}/ran\n")
    (folder / "run").chmod(0o755)
    yield folder
    assert sorted(path.name for path in folder.iterdir()) == ["run", "secret"]
    assert (folder / "secret").read_text() == f"{SECRET}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network", "outside"]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    folder = tmp_path / "network"
    line_of_two(folder)
    return folder


def refusal(network: Path) -> str:
    """What is wrong with the facts, "" when they are valid; no program may be started for it."""
    with watched() as events:
        try:
            reader.load(network)
            output = ""
        except FactsError as bad:
            output = str(bad)
    assert [event for event in events if event[0] != "open"] == []
    opened = [str(path) for _, (path, *_) in events]
    assert [path for path in opened if not path.startswith((str(network), "/proc/self/fd/"))] == []
    assert SECRET not in output
    return output


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_hostile_content(attack: Attack, network: Path, outside: Path) -> None:
    content = attack.content.replace("{{", "{").replace("}}", "}").replace("{out}", str(outside))
    (network / "r1" / attack.file).write_bytes(content.encode("utf-8", "surrogatepass"))
    if attack.file == "addr.json":
        (network / "r1" / "routes.json").write_text("[]")
    found = refusal(network) or plan_faults(network)
    if attack.refused:
        assert any(line.startswith(attack.refused) for line in found.splitlines()), found[:1000]
        return
    assert found == ""
    code, out, output = check(network)
    assert code in (0, 2), output
    assert SECRET not in out + output


def plan_faults(network: Path) -> str:
    """Entries of readable facts that the plan refuses, before any tool is started."""
    from netlab.facts.ip_batch import router_commands

    return "\n".join(str(p) for router in reader.load(network).routers for p in router_commands(router)[1])


def test_there_are_more_than_a_hundred() -> None:
    assert len({(attack.file, attack.content) for attack in ATTACKS}) == len(ATTACKS) > 200


Placing = Callable[[Path, Path], object]


def fifo(file: Path, outside: Path) -> None:
    os.mkfifo(file)


def unix_socket(file: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(file.parent):
        listener.bind(file.name)


def in_turn(*steps: Callable[[], None]) -> None:
    for step in steps:
        step()


PLACES: dict[str, tuple[Placing, str]] = {
    "a FIFO": (fifo, "is a FIFO"),
    "a socket": (unix_socket, "is a socket"),
    "a folder": (lambda file, outside: file.mkdir(), "Is a directory"),
    "a link out": (lambda file, outside: file.symlink_to(outside / "secret"), "leads out of the network's folder"),
    "a relative link out": (
        lambda file, outside: file.symlink_to("../../outside/secret"),
        "leads out of the network's folder",
    ),
    "a link to a link out": (
        lambda file, outside: in_turn(
            lambda: (file.parent / "x").symlink_to("../../outside/secret"), lambda: file.symlink_to("x")
        ),
        "leads out of the network's folder",
    ),
    "a link to a device": (lambda file, outside: file.symlink_to("/dev/zero"), "leads out of the network's folder"),
    "a link to /proc": (lambda file, outside: file.symlink_to("/proc/self/environ"), "leads out of the network's"),
    "a link to itself": (lambda file, outside: file.symlink_to(file.name), "Too many levels of symbolic links"),
    "a link to nothing": (lambda file, outside: file.symlink_to("none"), "is a link to a file that does not exist"),
    "a link to a FIFO": (
        lambda file, outside: in_turn(lambda: os.mkfifo(file.parent / "x"), lambda: file.symlink_to("x")),
        "is a FIFO",
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("file", reader.COLLECT_COMMANDS)
def test_what_stands_in_a_file_s_place(file: str, place: str, network: Path, outside: Path) -> None:
    make, why = PLACES[place]
    (network / "r1" / file).unlink(missing_ok=True)
    make(network / "r1" / file, outside)
    found = refusal(network)
    assert any(line.startswith(f"r1/{file}: ") and why in line for line in found.splitlines()), found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device(network: Path, outside: Path) -> None:
    os.mknod(network / "r1" / "nft.rules", 0o20666, os.makedev(1, 5))
    assert "r1/nft.rules: cannot be read: is a device" in refusal(network)


def test_a_router_s_folder_that_is_a_link_out(network: Path, outside: Path) -> None:
    (outside.parent / "network" / "r3").symlink_to("../outside")
    assert "r3/addr.json: is a link that leads out of the network's folder" in refusal(network)


def test_a_file_without_end(network: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file of 1 TiB; no more than the limit of it is read."""
    with open(network / "r1" / "nft.rules", "wb") as file:
        file.truncate(1 << 40)
    assert "r1/nft.rules: is larger than 128 MiB" in refusal(network)


def test_files_that_are_too_large_together(network: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlab.facts.sources.folder.MAX_NETWORK_BYTES", 1000)
    assert "exceed" in refusal(network)


def test_more_routers_than_a_bench_has(network: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlab.facts.sources.folder.MAX_ROUTERS", 1)
    assert refusal(network) == f"{network}: holds 2 routers; a bench has at most 1"
    monkeypatch.setattr("netlab.facts.sources.folder.MAX_ENTRIES", 1)
    assert "holds more than 1 files" in refusal(network)


def test_more_interfaces_than_a_router_has(network: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlab.facts.reader.MAX_INTERFACES", 1)
    assert "r1/addr.json: lists 3 interfaces; a router has at most 1" in refusal(network)


def test_a_router_s_name(network: Path, outside: Path) -> None:
    for name in (b"a\x1b[2Jb", b"a\nb", b"\xff", b"-x", "\u202ex".encode()):
        folder = os.fsencode(network) + b"/" + name
        os.mkdir(folder)
        found = refusal(network)
        assert "a router's name may contain only letters" in found
        assert found.splitlines()[0].isprintable()
        os.rmdir(folder)


def test_the_bench_and_the_check_refuse_before_a_tool_is_started(
    network: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tools are found on a fixed path; here a user namespace hides it, so a tool that was started would be missing."""
    (network / "r1" / "ipset.rules").write_text(SETS.format(f"save a -file {outside}/written"))
    (network / "r2" / "iptables.rules").write_text(FILTER.format(f"-A FORWARD --modprobe={outside}/run -j DROP"))
    for option in ("--check", "--network"):
        code, out, output = check(network, option=option)
        assert (code, out) == (2, "")
        assert [line.split(": ")[0] for line in output.splitlines()[1:]] == ["r1/ipset.rules:2", "r2/iptables.rules:3"]


def test_a_short_run_of_the_fuzzer() -> None:
    """`python -m tests.bench.fuzz_facts --minutes 60` is the long one."""
    outcomes, found = fuzz(60, first=20_000, most=120, report=False)
    assert found == []
    assert outcomes["refused"], outcomes
    assert outcomes["good"], outcomes


ODD = "\\u001b]0;x\\u0007\\u009b2J\\u202e\\u007f\\nbench: all is well"
SHOWN = {
    "a key of a route": ("routes.json", f'[{{"dst": "10.5.0.0/16", "dev": "up", "{ODD}": 1}}]'),
    "a value of a route": ("routes.json", f'[{{"dst": "10.5.0.0/16", "dev": "up", "prefsrc": "{ODD}"}}]'),
    "a device": ("routes.json", f'[{{"dst": "10.5.0.0/16", "dev": "{ODD}"}}]'),
    "a table": ("routes.json", f'[{{"dst": "10.5.0.0/99", "dev": "up", "table": "{ODD}"}}]'),
    "a key of a rule": ("rules.json", f'[{{"priority": 5, "{ODD}": []}}]'),
    "an interface": ("addr.json", f'[{{"ifname": "{ODD}"}}]'),
    "an address": ("addr.json", f'[{{"ifname": "up", "addr_info": [{{"family": "inet", "local": "{ODD}"}}]}}]'),
    "an entry": ("addr.json", f'["{ODD}"]'),
    "a rule, in the other direction": ("iptables.rules", FILTER.format("-A FORWARD -j \u202edrop")),
    "a set": ("ipset.rules", SETS.format("add \u2066a 10.0.0.1")),
    "a statement": ("nft.rules", 'table ip t {\n\tchain c {\n\t\tlog prefix "\u202e" nonsense\n\t}\n}\n'),
}


@pytest.mark.parametrize("what", SHOWN)
@pytest.mark.parametrize("command", [("app", "facts", "check"), ("app", "facts", "check", "--offline"), ("netlab",)])
def test_no_escape_sequence_gets_to_a_terminal(what: str, command: tuple[str, ...], network: Path) -> None:
    file, content = SHOWN[what]
    (network / "r1" / file).write_text(content)
    ours, terminal = os.openpty()
    if command[0] == "app":
        start = [sys.executable, "-c", "from app.cli import main; main()", *command[1:], str(network)]
    else:
        start = [sys.executable, "-m", "netlab", "--doctor", "--network", str(network)]
    process = subprocess.Popen(start, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    output = b""
    with contextlib.suppress(OSError):  # a terminal whose other end is closed
        while part := os.read(ours, 1 << 16):
            output += part
    os.close(ours)
    process.wait(timeout=30)
    text = re.sub(r"\x1b\[(31|0)m", "", output.decode().replace("\r\n", "\n"))  # the colour of `reachq:`
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), text
    assert not text.startswith("bench: all is well")
    assert "\nbench: all is well" not in text
    offline_good = "--offline" in command and what in (
        "a statement",
        "a table",
        "a value of a route",
        "a key of a route",
    )
    assert offline_good or process.returncode in (1, 2), text
