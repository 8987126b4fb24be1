"""Loads one router's facts into its namespace with the real tools, and converts their errors to file and line."""

from __future__ import annotations

import re
import shutil
from importlib.resources import files

from netlab.errors import MachineError, Problem
from netlab.facts.ip_batch import Command
from netlab.facts.reader import RouterFacts
from netlab.kernel.confined import SCRIPT, TIME_S, Done, Tools
from netlab.rules import ipset_rewrites
from netlab.rules.chance import chances
from netlab.rules.native_tables import loadable

PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "iptables-restore": "iptables",
    "iptables-legacy-restore": "iptables",
    "ipset": "ipset",
}
_NOISE = re.compile(
    r"^\S+ v[\d.]+(?: \(\w+\))?: |\s*Error occurred at line: \d+|\s*Try `.*$|(?:In file included from )?/tmp/\d+:[\d:-]+ "
)
_FAILED_LINE = re.compile(r"(?:line:? |Command failed -:|/tmp/\d+:|Error in line )(\d+)")


def bench_table() -> str:
    """The ruleset of netlab/bench.nft."""
    return (files("netlab.live") / "bench.nft").read_text()


def tool(name: str) -> str:
    """Path of a tool; raises MachineError naming the package when it is missing."""
    path = shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin:/usr/local/bin")
    if not path:
        raise MachineError(f"{name} is missing: apt-get install {PACKAGES.get(name, name)}")
    return path


def restore_tool() -> str:
    """Path of iptables-restore in the nf_tables variant, which needs neither extra modules nor a lock file."""
    try:
        return tool("iptables-nft-restore")
    except MachineError:
        return tool("iptables-restore")


def run_batch(tools: Tools, commands: list[Command], namespace: int | None = None) -> list[Problem]:
    """Run the lines in one `ip -batch`, continuing after a refused one; returns every refusal."""
    text = "".join(command.text + "\n" for command in commands)
    done = tools.run([tool("ip"), "-force", "-batch", "-"], text, namespace)
    if done.code == 0:
        return []
    problems, output, last = [], "", -1
    for line in done.output.splitlines():
        failed = _FAILED_LINE.search(line)
        if failed and line.startswith("Command failed"):
            last = int(failed[1]) - 1
            problems.append(_refused(commands[last], output))
            output = ""
        elif line.strip():
            output = line.strip().removeprefix("RTNETLINK answers: ").removeprefix("Error: ")
    if done.code is None or done.code < 0:
        problems.append(Problem(commands[0].file, 0, f"ip -batch {_ending(done)}"))
    elif output or not problems:
        problems.append(_culprit(tools, commands, last + 1, output, namespace))
    return problems


def _refused(command: Command, output: str) -> Problem:
    return Problem(command.file, command.line, f"`ip {command.text}`: {output or 'refused'}")


def _culprit(tools: Tools, commands: list[Command], start: int, output: str, namespace: int | None) -> Problem:
    """Find the line that `ip` cannot parse, which ends the batch without a line number: try the lines one by one."""
    for command in commands[start:]:
        done = tools.run([tool("ip"), *command.text.split()], "", namespace)
        if done.code not in (0, 2):  # 2: the kernel refused the line, so `ip` had parsed it
            return _refused(command, output)
    return Problem(commands[0].file, 0, f"ip -batch: {output}")


def load_firewall(tools: Tools, router: RouterFacts, namespace: int) -> list[Problem]:
    """Load ipsets, then iptables, then native nftables with the bench's own table; stops at the first that is refused."""
    native = loadable(router)
    if native.problems:
        return list(native.problems)
    loaded = chances(router)
    texts = {
        "ipset.rules": ipset_rewrites.for_this_machine(router.ipset).text,
        "iptables.rules": loaded.iptables,
        "iptables-legacy.rules": router.iptables_legacy,
        "nft.rules": loaded.nft + "\n" + bench_table(),
    }
    for file, text in texts.items():
        if text.strip():
            where = router.file(router.iptables_file if file == "iptables.rules" else file)
            problems = load_text(tools, file, text, where, namespace)
            if problems:
                return problems
    return []


def load_text(tools: Tools, file: str, text: str, where: str, namespace: int | None) -> list[Problem]:
    """Load a text with the tool for files of this name; facts have passed netlab/facts/dumps before."""
    command = {
        "ipset.rules": lambda: [tool("ipset"), "restore"],
        "iptables.rules": lambda: [restore_tool()],
        "iptables-legacy.rules": lambda: [tool("iptables-legacy-restore")],
        "nft.rules": lambda: [tool("nft"), "-f", SCRIPT],
    }[file]()
    done = tools.run(command, text, namespace)
    output = _NOISE.sub("", " ".join(line.strip() for line in done.output.splitlines() if line.strip()))
    if done.code == 0 and "rror" not in done.output:
        return []
    failed = _FAILED_LINE.search(done.output)
    number = int(failed[1]) if failed else 0
    lines = text.split("\n")
    quoted = f"`{lines[number - 1].strip()}`: " if 0 < number <= len(lines) else ""
    return [Problem(where, number, quoted + (output or f"{command[0]} {_ending(done)}")[:600])]


def _ending(done: Done) -> str:
    if done.code is None:
        return f"did not end within {TIME_S} s"
    if done.code < 0:
        return f"was ended by signal {-done.code}: it may have needed more memory than a tool is given"
    return f"exited with {done.code}"
