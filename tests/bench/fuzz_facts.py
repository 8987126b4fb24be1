"""Fuzzes the facts: mutates real dumps and takes each through the whole of `facts check`, tools included.

    python -m tests.bench.fuzz_facts [--minutes N] [--seed S] [--only SEED]

Some changes are grammar-aware (words of other lines, commands, options, other tools' files), some are of bytes. Each case
is a process: `python -m netlab --check` in everything but its start, which is a fork. One case in four goes to its tool
directly, past the allow lists, so that what confines the tools is tried too. A violation is: anything outside the
network's folder that is written, changed or removed; a secret from outside in the output; a program that is run; a
traceback; an exit code that is not 0 or 2; more than HANG_S seconds. Each is printed with its seed, and its network is
kept. Exits 1 then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netlab import __main__ as netlab_main
from netlab.facts import ip_batch, reader
from netlab.kernel import namespaces
from netlab.kernel.confined import Tools
from netlab.live.load import load_text
from tests.bench.conftest import CAMPUS
from tests.bench.small import DEFAULT_RULES
from tests.bench.test_real_dumps import MATCHES, NFT, SETS, TARGETS
from tests.bench.test_small_networks import line_of_two
from tests.support.hostile_facts import ATTACKS

SECRET = "fuzz-facts-secret-0815"
JSON_KEYS = sorted(
    (ip_batch._ROUTE_KEYS | ip_batch._RULE_KEYS | {"ifname", "flags", "addr_info", "link_type", "local"}) - {""}
)
DIRECT = 0.25
"""The share of cases that bypass the allow lists."""
HANG_S = 60
MEMORY = 4 << 30
FILES = tuple(reader.COLLECT_COMMANDS)
FIREWALL = ("ipset.rules", "iptables.rules", "nft.rules")


@dataclass
class Corpus:
    """Lines and whole files of real dumps, by file, and every word in any of them."""

    texts: dict[str, list[str]] = field(default_factory=lambda: {file: [] for file in FILES})
    hostile: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @staticmethod
    def read(outside: Path, plain: Path) -> Corpus:
        """The sample network, the dumps of test_real_dumps.py, and the hostile lines of hostile_facts.py."""
        corpus = Corpus()
        for path in sorted(CAMPUS.glob("*/*.rules")):
            corpus.texts[path.name].append(path.read_text())
        for path in sorted(plain.glob("*/*.json")):
            corpus.texts[path.name].append(path.read_text())
        corpus.texts["rules.json"].append(json.dumps(DEFAULT_RULES).replace("},", "},\n"))
        rules = [("filter", f"-A FORWARD {rule} -j ACCEPT") for rule in MATCHES]
        for table, targets in TARGETS.items():
            chain = "FORWARD" if table == "filter" else "PREROUTING"
            rules += [(table, f"-A {chain} -j {target}") for target in targets.replace("\n", "|").split("|")]
        corpus.texts["iptables.rules"] += [f"*{table}\n:own-chain - [0:0]\n{rule}\nCOMMIT\n" for table, rule in rules]
        lines = SETS.strip().split("\n")
        for name in {line.split(" ")[1] for line in lines}:
            own = [line for line in lines if line.split(" ")[1] in (name, "a")]
            corpus.texts["ipset.rules"].append("\n".join(own) + "\n")
        corpus.texts["nft.rules"].append(NFT)
        statements = NFT[NFT.index("iifname") : NFT.index("chain out")].strip().split("\n")[:-1]
        head = "type filter hook forward priority 0; policy accept;"
        corpus.texts["nft.rules"] += [
            f"table inet t {{\n\tchain c {{\n\t\t{head}\n\t\t{statement.strip()}\n\t}}\n}}\n"
            for statement in statements
        ]
        for attack in ATTACKS:
            if len(attack.content) < 5000:
                content = attack.content.replace("{out}", str(outside)).replace("{{", "{").replace("}}", "}")
                corpus.hostile += [line for line in content.splitlines() if line]
        for text in [text for texts in corpus.texts.values() for text in texts] + corpus.hostile:
            corpus.words += text.split()
        corpus.words = sorted(set(corpus.words))
        return corpus


def mutate(chance: random.Random, corpus: Corpus, file: str) -> bytes:
    """One mutated dump."""
    other = chance.choice(FILES) if chance.random() < 0.1 else file
    text = chance.choice(corpus.texts[other] or [""])
    if text.startswith("[") and chance.random() < 0.7:
        return _by_value(chance, corpus, text)
    lines = text.split("\n")
    if len(lines) > 40 and chance.random() < 0.5:
        at = chance.randrange(len(lines) - 20)
        lines = lines[:2] + lines[at : at + 20] + lines[-2:]
    for _ in range(chance.choice((0, 1, 1, 1, 2, 4))):
        _by_grammar(chance, corpus, lines)
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    if chance.random() < 0.3:
        data = _by_bytes(chance, data)
    return data


def _by_value(chance: random.Random, corpus: Corpus, text: str) -> bytes:
    """Replace values, keys and entries of `ip -j` by others."""
    entries = json.loads(text)
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        where = chance.choice(entries)
        key = chance.choice(sorted(where) or ["dst"])
        while isinstance(where.get(key), list | dict) and where[key] and chance.random() < 0.7:
            inner = chance.choice(where[key]) if isinstance(where[key], list) else where[key]
            if not isinstance(inner, dict) or not inner:
                break
            where, key = inner, chance.choice(sorted(inner))
        odd: list[Any] = [
            None,
            True,
            0,
            -1,
            2**33,
            1.5,
            "",
            [],
            {},
            [{}],
            ["x"],
            "\x1b[2J",
            "\ud800",
            "a#b",
            "../../x",
            10**400,
            "²",
        ]
        value = chance.choice(
            (chance.choice(odd), chance.choice(corpus.words), str(where.get(key)) + chance.choice("#' ;1"))
        )
        match chance.randrange(4):
            case 0:
                where.pop(key, None)
            case 1:
                where[chance.choice(JSON_KEYS)] = value
            case 2:
                entries.insert(0, dict(chance.choice(entries)))
            case _:
                where[key] = value
    return json.dumps(entries, indent=chance.choice((None, 1))).encode()


def _by_grammar(chance: random.Random, corpus: Corpus, lines: list[str]) -> None:
    at = chance.randrange(len(lines))
    words = lines[at].split(" ")
    position = chance.randrange(len(words))
    match chance.randrange(9):
        case 0:
            lines.insert(at, chance.choice(corpus.hostile))
            return
        case 1:
            lines[at] += chance.choice((" ", ";", "; ", " ;", "\t", "")) + chance.choice(corpus.hostile)
            return
        case 2:
            words[position] = chance.choice(corpus.words)
        case 3:
            words.insert(position, chance.choice(corpus.words))
        case 4:
            words.insert(position, " ".join(chance.choice(corpus.hostile).split(" ")[-3:]))
        case 5:
            del words[position]
        case 6:
            quote = chance.choice(
                ('"', "'", "\\", '\\"', "{", "}", "#", "`", "$", "@", "-", "\x1b[2J", "\u202e", "/../")
            )
            words[position] = quote + words[position] + chance.choice((quote, ""))
        case 7:
            lines.insert(at, lines[chance.randrange(len(lines))])
            return
        case 8:
            words[position] *= chance.choice((2, 50, 1100))
    lines[at] = " ".join(words)


def _by_bytes(chance: random.Random, data: bytes) -> bytes:
    mutable = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(mutable) + 1)
        match chance.randrange(5):
            case 0 if at < len(mutable):
                mutable[at] ^= 1 << chance.randrange(8)
            case 1:
                mutable[at:at] = chance.choice(
                    (b"\0", b"\r", b"\n", b"\x1b", b"\xff", b"\xef\xbb\xbf", b"\xc2\x85", b'"')
                )
            case 2:
                del mutable[at : at + chance.randrange(1, 30)]
            case 3:
                end = at + chance.randrange(1, 60)
                mutable[at:at] = mutable[at:end]
            case _:
                mutable[at:at] = bytes(chance.randrange(32, 127) for _ in range(chance.randrange(1, 6)))
    return bytes(mutable)


def case(folder: Path, corpus: Corpus, seed: int) -> str:
    """Write the network of `seed`; the file that goes to its tool directly, or ""."""
    chance = random.Random(seed)
    line_of_two(folder)
    router = folder / "r1"
    if chance.random() < DIRECT:
        file = chance.choice(FIREWALL)
        (router / file).write_bytes(mutate(chance, corpus, file))
        return file
    for file in chance.sample(FILES + FIREWALL, chance.choice((1, 1, 2))):
        (router / file).write_bytes(mutate(chance, corpus, file))
    return ""


def run(folder: Path, file: str) -> tuple[str, str]:
    """(what happened, output) of the case in a child process; `file`: the one that goes to its tool directly."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.close(read)
            os.dup2(write, 1)
            os.dup2(write, 2)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            code = _past_the_lists(folder, file) if file else _check(folder)
        except BaseException:  # noqa: BLE001 - reported by the parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(write)
    said, until = b"", time.monotonic() + HANG_S
    while True:
        ready, _, _ = select.select([read], [], [], max(0.0, until - time.monotonic()))
        part = os.read(read, 1 << 16) if ready else b""
        if not part:
            break
        said += part
    os.close(read)
    hung = not ready
    if hung:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    output = said.decode("utf-8", "replace")
    code = os.waitstatus_to_exitcode(status)
    if hung:
        return "hang", output
    if "Traceback" in output:
        return "traceback", output
    return {0: "good", 2: "refused"}.get(code, f"exit code {code}"), output


def _check(folder: Path) -> int:
    sys.argv = ["netlab", "--check", str(folder)]
    return netlab_main.main()


def _past_the_lists(folder: Path, file: str) -> int:
    """Give the file directly to its tool."""
    namespaces.isolate()
    text = (folder / "r1" / file).read_bytes().decode("utf-8", "replace")
    with Tools() as tools:
        problems = load_text(tools, file, text, f"r1/{file}", None)
    print("\n".join(map(str, problems)))
    return 2 if problems else 0


def violations(outside: Path, before: list[tuple[str, bytes]], output: str) -> list[str]:
    """Changes outside the network's folder, and secrets in the output."""
    found = []
    if SECRET in output:
        found.append("the output holds the secret")
    after = _contents(outside)
    if after != before:
        found.append(f"outside has changed: {sorted(set(after) ^ set(before))}")
    return found


def _contents(folder: Path) -> list[tuple[str, bytes]]:
    return sorted((str(path.relative_to(folder)), path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def _make_outside(outside: Path) -> None:
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir()
    (outside / "secret").write_text(f"{SECRET}\n")
    (outside / "run").write_text(f"#!/bin/sh\ntouch {outside}/ran\n")
    (outside / "run").chmod(0o755)


def fuzz(seconds: float, first: int, *, most: int | None = None, report: bool = True) -> tuple[Counter[str], list[str]]:
    """Run cases `first`, `first` + 1, … for that long; (how often each outcome was, violations)."""
    outcomes: Counter[str] = Counter()
    found: list[str] = []
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-facts-"))
    outside = scratch / "outside"
    _make_outside(outside)
    line_of_two(scratch / "plain")
    corpus = Corpus.read(outside, scratch / "plain")
    before, home = _contents(outside), os.getcwd()
    os.chdir(outside)  # a tool that chooses a file name itself would write here
    until, seed = time.monotonic() + seconds, first
    shown = time.monotonic()
    try:
        while time.monotonic() < until and (most is None or seed - first < most):
            folder = scratch / "network"
            direct = case(folder, corpus, seed)
            outcome, output = run(folder, direct)
            outcomes[("past the allow lists: " if direct else "") + outcome] += 1
            wrong = violations(outside, before, output)
            if outcome not in ("good", "refused"):
                wrong.append(outcome)
            if wrong:
                shutil.copytree(folder, scratch / f"seed-{seed}")
                found.append(f"seed {seed}: {'; '.join(wrong)}\n{output[-2000:]}")
                print(found[-1], flush=True)
                _make_outside(outside)
            shutil.rmtree(folder)
            seed += 1
            if report and time.monotonic() - shown > 60:
                shown = time.monotonic()
                print(f"{seed - first} cases, {dict(outcomes)}, {len(found)} violations", flush=True)
    finally:
        os.chdir(home)
        if not found:
            shutil.rmtree(scratch)
        elif report:
            print(f"networks of violations are kept in {scratch}")
    return outcomes, found


def main() -> int:
    """Fuzz for some minutes, or repeat one seed; 1 after a violation."""
    parser = argparse.ArgumentParser(description="Fuzz the facts and the tools that load them.")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None, help="the first seed; by default made from the clock")
    parser.add_argument("--only", type=int, default=None, help="run this one seed and show its output")
    options = parser.parse_args()
    first = options.only if options.only is not None else options.seed
    first = first if first is not None else int(time.time()) * 1000
    most = 1 if options.only is not None else None
    print(f"first seed {first}", flush=True)
    outcomes, found = fuzz(options.minutes * 60, first, most=most)
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:8d}  {outcome}")
    print(f"{sum(outcomes.values())} cases, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
