"""pyproject.toml and the two lock files agree, and only what reachq needs to run gets into the image."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN, DEV = "requirements.lock", "requirements-dev.lock"
PIN = re.compile(r"^([a-z0-9-]+)==([^ ;]+)(?: ; [^\\]+)? \\$")
INPUTS = re.compile(r"-c requirements\.lock|reachq \(pyproject\.toml(?::\w+)?\)")


class Pin(NamedTuple):
    """One package of a lock file; `because` names the packages and inputs that require it."""

    version: str
    hashes: int
    because: frozenset[str]


@cache
def pins(lock: str) -> dict[str, Pin]:
    """The packages of a lock file by name."""
    found: dict[str, Pin] = {}
    name = version = ""
    hashes, because = 0, set[str]()
    for line in [*(ROOT / lock).read_text().splitlines(), "end==0 \\"]:
        if start := PIN.match(line):
            if name:
                found[name] = Pin(version, hashes, frozenset(because))
            name, version, hashes, because = start[1], start[2], 0, set()
        elif line.strip().startswith("--hash=sha256:"):
            hashes += 1
        elif reason := re.sub(r"^ *# *(via)? *", "", line):
            because.add(reason)
    return found


def group(name: str) -> list[Requirement]:
    """The requirements of a dependency group, those of the groups it includes too."""
    found: list[Requirement] = []
    for entry in PROJECT["dependency-groups"][name]:
        found += group(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
    return found


def declared(lock: str) -> dict[str, Requirement]:
    """What pyproject.toml requires of a lock file, by name."""
    required = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    required += group("build" if lock == RUN else "dev")
    return {canonicalize_name(each.name): each for each in required}


@pytest.mark.parametrize("lock", [RUN, DEV])
def test_each_requirement_is_locked_to_a_version_that_it_accepts(lock: str) -> None:
    wrong = [
        str(required)
        for name, required in declared(lock).items()
        if name not in pins(lock) or not required.specifier.contains(pins(lock)[name].version, prereleases=True)
    ]
    assert wrong == [], "run make lock"


@pytest.mark.parametrize("lock", [RUN, DEV])
def test_nothing_is_locked_that_no_requirement_needs(lock: str) -> None:
    direct = {name for name, pin in pins(lock).items() if any("pyproject.toml" in reason for reason in pin.because)}
    assert direct == set(declared(lock)), "run make lock"
    for name, pin in pins(lock).items():
        parents = {reason for reason in pin.because if not INPUTS.fullmatch(reason)}
        assert parents <= set(pins(lock)), name
        assert parents or name in direct, name


def test_both_locks_have_the_same_version_of_what_both_have() -> None:
    run = {name: pin.version for name, pin in pins(RUN).items()}
    assert {name: pin.version for name, pin in pins(DEV).items() if name in run} == run


@pytest.mark.parametrize("lock", [RUN, DEV])
def test_each_version_has_hashes_and_no_line_names_a_host(lock: str) -> None:
    assert [name for name, pin in pins(lock).items() if not pin.hashes] == []
    assert re.findall(r"://|^--?(?!hash)", (ROOT / lock).read_text(), re.M) == []


def test_the_image_installs_what_reachq_needs_to_run_and_no_tool_of_the_tests() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    instructions = [line for line in dockerfile.splitlines() if not line.startswith("#")]
    assert [line for line in instructions if ".lock" in line] == [
        "COPY requirements.lock pyproject.toml README.md LICENSE ./",
        "RUN pip install --no-cache-dir --require-hashes -r requirements.lock",
    ]
    assert DEV not in (ROOT / ".dockerignore").read_text()
    tools = set(declared(DEV)) - set(declared(RUN))
    assert {"pytest", "mypy", "ruff", "playwright"} <= tools
    assert tools & set(pins(RUN)) == set()


def test_setup_installs_the_tools_only_for_the_tests() -> None:
    setup = (ROOT / "scripts" / "setup").read_text()
    assert re.findall(r"^.*-r requirements.*$", setup, re.M) == [
        "locks=(-r requirements.lock)",
        '[ "$purpose" = run ] || locks+=(-r requirements-dev.lock)',
    ]
