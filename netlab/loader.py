"""Loads one router's facts into its namespace with the real tools, and turns what they refuse into file and line."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files

from netlab.errors import MachineError, Problem
from netlab.facts import RouterFacts
from netlab.nftfacts import loadable
from netlab.plan import Command

BENCH_TABLE = "reachq_bench"
TOOL_TIMEOUT_S = 60
PACKAGES = {"ip": "iproute2", "nft": "nftables", "iptables-restore": "iptables", "ipset": "ipset"}
_NOISE = re.compile(r"^\S+ v[\d.]+(?: \(\w+\))?: |\s*Error occurred at line: \d+|\s*Try `.*$|/dev/stdin:[\d:-]+ ")
_FAILED_LINE = re.compile(r"(?:line:? |Command failed -:|/dev/stdin:|Error in line )(\d+)")


def bench_table() -> str:
    """The ruleset of netlab/bench.nft."""
    return (files("netlab") / "bench.nft").read_text()


def tool(name: str) -> str:
    """Path of a tool; raises MachineError naming the package when it is missing."""
    found = shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin:/usr/local/bin")
    if not found:
        raise MachineError(f"{name} is missing: apt-get install {PACKAGES.get(name, name)}")
    return found


def restore_tool() -> str:
    """iptables-restore in the nf_tables variant, which needs no modules of its own and no lock file."""
    try:
        return tool("iptables-nft-restore")
    except MachineError:
        return tool("iptables-restore")


def run_batch(commands: list[Command], pass_fds: tuple[int, ...] = ()) -> list[Problem]:
    """Run the lines in one `ip -batch`, going on after a refused one; returns every refusal."""
    text = "".join(command.text + "\n" for command in commands)
    done = _run([tool("ip"), "-force", "-batch", "-"], text, pass_fds)
    if done.returncode == 0:
        return []
    problems, said, last = [], "", -1
    for line in done.stderr.splitlines():
        failed = _FAILED_LINE.search(line)
        if failed and line.startswith("Command failed"):
            last = int(failed[1]) - 1
            problems.append(_refused(commands[last], said))
            said = ""
        elif line.strip():
            said = line.strip().removeprefix("RTNETLINK answers: ").removeprefix("Error: ")
    if said or not problems:
        problems.append(_culprit(commands, last + 1, said, pass_fds))
    return problems


def _refused(command: Command, said: str) -> Problem:
    return Problem(command.file, command.line, f"`ip {command.text}`: {said or 'refused'}")


def _culprit(commands: list[Command], start: int, said: str, pass_fds: tuple[int, ...]) -> Problem:
    """A line that `ip` cannot even read ends the whole batch without its number: try the lines one by one."""
    for command in commands[start:]:
        done = _run([tool("ip"), *command.text.split()], "", pass_fds)
        if done.returncode not in (0, 2):  # 2: the kernel refused, for it had taken the line already
            return _refused(command, said)
    return Problem(commands[0].file, 0, f"ip -batch: {said}")


def load_firewall(router: RouterFacts) -> list[Problem]:
    """ipsets, then iptables, then native nftables with the bench's own table; stops at the first that is refused."""
    if router.ipset.strip():
        problems = _load([tool("ipset"), "restore"], router.ipset, router.file("ipset.rules"))
        if problems:
            return problems
    if router.iptables.strip():
        problems = _load([restore_tool()], router.iptables, router.file("iptables.rules"))
        if problems:
            return problems
    native, problems = loadable(router)
    if problems:
        return problems
    return _load([tool("nft"), "-f", "/dev/stdin"], native + "\n" + bench_table(), router.file("nft.rules"))


def _load(command: list[str], text: str, file: str) -> list[Problem]:
    done = _run(command, text)
    said = _NOISE.sub("", " ".join(line.strip() for line in done.stderr.splitlines() if line.strip()))
    if done.returncode == 0 and "rror" not in done.stderr:
        return []
    failed = _FAILED_LINE.search(done.stderr)
    number = int(failed[1]) if failed else 0
    lines = text.splitlines()
    quoted = f"`{lines[number - 1].strip()}`: " if 0 < number <= len(lines) else ""
    return [Problem(file, number, quoted + (said or f"{command[0]} exited with {done.returncode}")[:600])]


def _run(command: list[str], text: str, pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TOOL_TIMEOUT_S,
        pass_fds=pass_fds,
        check=False,
    )
