"""Loads one router's facts into its namespace with the real tools, and maps their errors to file and line."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files

from netlab.errors import BuildError, MachineError, NetlinkError, Problem
from netlab.facts.ip_batch import Command
from netlab.facts.reader import RouterFacts
from netlab.kernel import ip_requests, namespaces
from netlab.kernel.confined import SCRIPT, TIME_S, Done, Tools
from netlab.kernel.ipset_entries import add_entries
from netlab.kernel.links import LinkWriter
from netlab.kernel.table_copy import TableCopy
from netlab.rules import ipset_rewrites
from netlab.rules.equal_priorities import first_chains
from netlab.rules.loaded_rules import loaded_rules
from netlab.rules.native_tables import loadable
from netlab.rules.saved_firewall import SavedRule, read_iptables
from netlab.rules.trace_events import BENCH_TABLE
from netlab.rules.uncertain import NOTHING, Kind, Lacking

PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "iptables-restore": "iptables",
    "iptables-legacy-restore": "iptables",
    "ipset": "ipset",
}
_SET = re.compile(r"^[ \t]*(?:set|map|meter) (\S+) \{", re.MULTILINE)
_CHAIN = re.compile(r"^[ \t]*chain (\S+) \{", re.MULTILINE)
_SET_OF_RULE = re.compile(r"@(?!th,|nh,|ll,|ih,)([A-Za-z_][\w.-]*)")
_NOISE = re.compile(
    r"^\S+ v[\d.]+(?: \(\w+\))?: |\s*Error occurred at line: \d+|\s*Try `.*$|(?:In file included from )?/tmp/\d+:[\d:-]+ "
)
_MISSING_TARGET = re.compile(r"Chain '(\S+)' does not exist")
_FAILED_LINE = re.compile(r"(?:line:? |Command failed -:|/tmp/\d+:|Error in line )(\d+)")


MOST_LINES = 20_000
"""Maximum number of lines for one `ip -batch`, which uses 32 KiB of memory per line and frees none before it ends."""
MOST_TRIED = 1000
"""Maximum number of lines that are run one by one to find the line that `ip` cannot parse."""


FEW_LINES = 200
"""Up to this number of lines, requests to the kernel are faster than a start of `ip`."""


def bench_table(tools: Tools) -> TableCopy:
    """Load netlab/live/bench.nft into a namespace of its own and return a copy for the routers.

    Raises BuildError or NetlinkError.
    """
    namespace = namespaces.create({})
    try:
        text = (files("netlab.live") / "bench.nft").read_text()
        if problems := load_text(tools, "nft.rules", text, "bench.nft", namespace):
            raise BuildError(problems)
        with namespaces.entered(namespace):
            return TableCopy(BENCH_TABLE)
    finally:
        os.close(namespace)


def tool(name: str) -> str:
    """Return the path of a tool. If it is missing, raises MachineError, which names the package to install."""
    path = shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin:/usr/local/bin")
    if not path:
        raise MachineError(f"{name} is missing: apt-get install {PACKAGES.get(name, name)}")
    return path


def restore_tool() -> str:
    """Return the path of the nf_tables variant of iptables-restore, which needs neither extra modules nor a lock file.

    If `iptables-nft-restore` is not installed, return the path of iptables-restore.
    """
    try:
        return tool("iptables-nft-restore")
    except MachineError:
        return tool("iptables-restore")


def run_batch(tools: Tools, commands: list[Command], namespace: int) -> list[Problem]:
    """Run the commands with `ip -batch`, and continue after a refused one. Return a problem for each refusal."""
    parts = (commands[start : start + MOST_LINES] for start in range(0, len(commands), MOST_LINES))
    return [problem for part in parts for problem in _run_part(tools, part, namespace)]


def without_ip(commands: list[Command]) -> list[Command]:
    """Carry out a router's commands without `ip`, if they are few.

    Return the rest: the first command that needs `ip`, and all after it. A refused command is in the rest too. It has
    changed nothing, so `ip` can repeat it and say why it is refused. Call this inside the router's namespace, and in
    one thread: it makes many short calls to the kernel, for which threads would only wait for each other.
    """
    if len(commands) > FEW_LINES:
        return commands
    index = lru_cache(socket.if_nametoindex)
    with contextlib.closing(LinkWriter()) as writer:
        for number, command in enumerate(commands):
            request = ip_requests.request(command.text, index)
            if not request:
                return commands[number:]
            try:
                writer.change([request], command.text)
            except NetlinkError:
                return commands[number:]
    return []


def _run_part(tools: Tools, commands: list[Command], namespace: int) -> list[Problem]:
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


def _culprit(tools: Tools, commands: list[Command], start: int, output: str, namespace: int) -> Problem:
    """Run the lines one by one to find the one that `ip` cannot parse.

    `ip -batch` stops at such a line without giving its number.
    """
    for command in commands[start : start + MOST_TRIED]:
        done = tools.run([tool("ip"), *command.text.split()], "", namespace)
        if done.code not in (0, 2):  # 2: the kernel refused the line, so `ip` had parsed it
            return _refused(command, output)
    return Problem(commands[0].file, 0, f"ip -batch: {output}")


def load_firewall(tools: Tools, router: RouterFacts, namespace: int) -> tuple[list[Problem], Lacking]:
    """Load ipsets, then iptables rules, then native nftables rules.

    Stop at the first refused file.

    If this machine lacks a match or a target, the rule is loaded with something else in its place
    (netlab/rules/loaded_rules.py) and is included in the second result.
    """
    native = loadable(router)
    if native.problems:
        return list(native.problems), NOTHING
    problems, lacking = _load_sets(tools, router, namespace)
    if problems:
        return problems, lacking
    if text := first_chains(router):
        problems = load_text(tools, "nft.rules", text, router.file("nft.rules"), namespace)
        if problems:
            return [replace(problem, line=0) for problem in problems], lacking
    for file in ("iptables.rules", "iptables-legacy.rules", "nft.rules"):
        problems, lacking = _load_rules(tools, router, file, namespace, lacking)
        if problems:
            break
    return problems, lacking


def _load_sets(tools: Tools, router: RouterFacts, namespace: int) -> tuple[list[Problem], Lacking]:
    """Load ipset.rules without the sets whose type this machine lacks."""
    text, lacking = ipset_rewrites.for_this_machine(router.ipset).text, NOTHING
    if _load_long_lists(tools, text, namespace):
        return [], lacking
    while text.strip():
        problems = load_text(tools, "ipset.rules", text, router.file("ipset.rules"), namespace)
        words = text.split("\n")[problems[0].line - 1].split() if problems and problems[0].line else []
        if not problems or "set type not supported" not in problems[0].message or words[:1] != ["create"]:
            return problems, lacking
        lacking = replace(lacking, sets=lacking.sets | {words[1]})
        text = "\n".join("" if line.split()[1:2] == [words[1]] else line for line in text.split("\n"))
        if not _remove_sets(tools, namespace):
            return problems, lacking
    return [], lacking


def _load_long_lists(tools: Tools, text: str, namespace: int) -> bool:
    """Load ipset.rules, and its long lists of entries without `ipset`, which takes most of its time to read them.

    Return False if there are none, or if anything is refused. No set is left then, so that `ipset` can load the whole
    text and name the line.
    """
    others, lists = ipset_rewrites.long_lists(text)
    if not lists:
        return False
    with contextlib.suppress(NetlinkError, OSError, ValueError):
        if not load_text(tools, "ipset.rules", others, "", namespace):
            with namespaces.entered(namespace):
                for name, entries in lists.items():
                    add_entries(name, entries)
            return True
    _remove_sets(tools, namespace)
    return False


def _remove_sets(tools: Tools, namespace: int) -> bool:
    """Remove all ipsets. A set in a set of sets can only be removed after the latter was emptied."""
    return all(tools.run([tool("ipset"), what], "", namespace).code == 0 for what in ("flush", "destroy"))


def _load_rules(
    tools: Tools, router: RouterFacts, file: str, namespace: int, lacking: Lacking
) -> tuple[list[Problem], Lacking]:
    """Load one file of rules.

    If lines are refused, replace their matches or targets and try again, until no new lines are refused.
    """
    where = router.file(router.iptables_file if file == "iptables.rules" else file)
    while True:
        loaded = loaded_rules(router, lacking)
        text = {"iptables.rules": loaded.iptables, "nft.rules": loaded.nft}.get(file, loaded.iptables_legacy)
        if not text.strip():
            return [], lacking
        problems, lines = _load_once(tools, file, text, where, namespace)
        if not problems or not lines:
            return problems, lacking
        if missing := _MISSING_TARGET.search(problems[0].message):  # the tool mentions only the line of COMMIT
            lines = frozenset(rule.line for rule in _rules_of(router) if missing[1] in rule.jumps)
        more = _more_lacking(router, lacking, where, lines)
        if more is None:
            return problems, lacking
        lacking = more


def _more_lacking(router: RouterFacts, lacking: Lacking, where: str, lines: frozenset[int]) -> Lacking | None:
    """Return what is lacking if these refused lines are not damaged: first their matches, then their targets.

    The result is None if a line was refused although its match and target were replaced, or if it has none to replace.
    """
    if where.endswith("nft.rules"):
        more = replace(lacking, nft=lacking.nft | lines)
        return None if lines & lacking.nft or not lines <= _lines_replaced(router, more, where) else more
    if where != router.file(router.iptables_file):
        return None
    fresh = lines - lacking.iptables
    more = replace(lacking, iptables=lacking.iptables | fresh)
    others = lines - (fresh & _lines_replaced(router, more, where))
    if others & lacking.targets:
        return None
    more = replace(more, targets=more.targets | others)
    return more if lines <= _lines_replaced(router, more, where) else None


def _rules_of(router: RouterFacts) -> list[SavedRule]:
    return read_iptables(router.iptables, router.file(router.iptables_file)).rules


def _lines_replaced(router: RouterFacts, lacking: Lacking, where: str) -> frozenset[int]:
    """Return the lines of rules in which a match or a target that this machine lacks is replaced or left out.

    A rule that refers to a missing set or chain does not count: it is damaged.
    """
    loaded = loaded_rules(router, lacking)
    replaced = [one.rule for one in loaded.rules.values() if one.kind in (Kind.LACKING, Kind.TARGET)]
    rules = [*replaced, *loaded.silent]
    sets = set(_SET.findall(router.nft))
    chains = set(_CHAIN.findall(router.nft))
    return frozenset(rule.line for rule in rules if rule.file == where and _known(rule, sets, chains, where))


def _known(rule: SavedRule, sets: set[str], chains: set[str], where: str) -> bool:
    """Whether the sets and chains that a rule refers to exist. Only rules of nft.rules are checked."""
    if not where.endswith("nft.rules"):
        return True
    return set(_SET_OF_RULE.findall(rule.bare)) <= sets and rule.jumps <= chains


def load_text(tools: Tools, file: str, text: str, where: str, namespace: int | None) -> list[Problem]:
    """Load a text with the tool for files named `file`. Text from facts must have passed netlab/facts/dumps."""
    return _load_once(tools, file, text, where, namespace)[0]


def _load_once(
    tools: Tools, file: str, text: str, where: str, namespace: int | None
) -> tuple[list[Problem], frozenset[int]]:
    """Run the tool once. Return the problems, and the numbers of all lines that the tool mentioned."""
    command = {
        "ipset.rules": lambda: [tool("ipset"), "restore"],
        "iptables.rules": lambda: [restore_tool()],
        "iptables-legacy.rules": lambda: [tool("iptables-legacy-restore")],
        "nft.rules": lambda: [tool("nft"), "-f", SCRIPT],
    }[file]()
    done = tools.run(command, text, namespace)
    output = _NOISE.sub("", " ".join(line.strip() for line in done.output.splitlines() if line.strip()))
    if done.code == 0 and "rror" not in done.output:
        return [], frozenset()
    named = [int(number) for number in _FAILED_LINE.findall(done.output)]
    number = named[0] if named else 0
    lines = text.split("\n")
    quoted = f"`{lines[number - 1].strip()}`: " if 0 < number <= len(lines) else ""
    return [Problem(where, number, quoted + (output or f"{command[0]} {_ending(done)}")[:600])], frozenset(named)


def _ending(done: Done) -> str:
    if done.code is None:
        return f"did not end within {TIME_S} s"
    if done.code < 0:
        return f"was ended by signal {-done.code}: it may have needed more memory than a tool is given"
    return f"exited with {done.code}"
