"""Procfile, compose file, image and `reachq up` name the same processes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from honcho.environ import parse_procfile

from app.launch.up import STAGES
from ledger.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PROCESSES: dict[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = sorted(set(SERVICES) - {"redis"})


def environment(service: str) -> dict[str, str]:
    found: dict[str, str] = SERVICES[service].get("environment", {})
    return found


def test_the_processes_of_the_design_are_there() -> None:
    names = [name.rstrip("0123456789") for name in PROCESSES]
    assert sorted(names) == ["bench", "dispatcher", "dispatcher", "web", "workers"]


@pytest.mark.parametrize("name", PROCESSES)
def test_each_command_is_a_module_that_runs(name: str) -> None:
    words = PROCESSES[name].split()
    assert words[:2] == ["python", "-m"]
    assert importlib.util.find_spec(f"{words[2]}.__main__") is not None


def test_up_knows_when_to_stop_each() -> None:
    assert {name.rstrip("0123456789") for name in PROCESSES} == set(STAGES)


def test_compose_runs_the_commands_of_the_procfile() -> None:
    assert {name: " ".join(SERVICES[name]["command"]) for name in OURS} == PROCESSES


def test_only_the_bench_has_capabilities() -> None:
    granted = {name: set(SERVICES[name].get("cap_add", [])) for name in SERVICES}
    assert granted.pop("bench") == {"NET_ADMIN", "NET_RAW", "SETPCAP", "SYS_ADMIN"}
    assert not any(granted.values())
    assert all(SERVICES[name]["cap_drop"] == ["ALL"] for name in OURS)
    assert not any(SERVICES[name].get("privileged") for name in SERVICES)


def test_every_right_of_the_bench_is_explained() -> None:
    lines = (ROOT / "docker-compose.yml").read_text().splitlines()
    for right in ("- NET_ADMIN", "- NET_RAW", "- SYS_ADMIN", "- systempaths=unconfined"):
        (at,) = [number for number, line in enumerate(lines) if line.strip().startswith(right)]
        assert "#" in lines[at] or lines[at - 1].strip().startswith("#"), f"{right} without a reason"


def test_all_find_the_same_redis_and_the_same_bench() -> None:
    urls = {environment(name).get("REACHQ_REDIS_URL") for name in OURS if name != "bench"}
    assert urls == {"redis://redis:6379/0"}
    sockets = {environment(name)["REACHQ_BENCH_SOCKET"] for name in ("bench", "workers")}
    (socket,) = sockets
    assert socket.startswith("/"), "a path: an abstract socket ends at the container's network"
    folders = {next(v for v in SERVICES[name]["volumes"] if v.startswith("bench-")) for name in ("bench", "workers")}
    (folder,) = folders
    assert socket.startswith(folder.split(":")[1] + "/")


def test_redis_is_set_up_as_the_embedded_one_is() -> None:
    from app.launch.embedded import server_command

    words = SERVICES["redis"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    embedded_words = server_command(Path("/tmp"))
    embedded = dict(zip(embedded_words[1::2], embedded_words[2::2], strict=True))
    assert options.items() <= embedded.items()
    assert "ports" not in SERVICES["redis"]


def test_settings_in_the_compose_file_exist() -> None:
    known = {f"REACHQ_{name.upper()}" for name in Settings.model_fields}
    used = {key for name in SERVICES for key in environment(name)}
    assert used <= known
    assert set(re.findall(r"REACHQ_[A-Z_]+", DOCKERFILE)) <= known


def test_the_image_holds_every_package_and_tool() -> None:
    copied = set(re.findall(r"^COPY (\S+) \./\1$", DOCKERFILE, re.M))
    assert copied >= {"app", "compat_dispatcher", "dscp", "ledger", "netlab", "networks", "workers"}
    assert copied <= {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    to_run = (ROOT / "scripts" / "setup").read_text().partition("missing_for_tests()")[0]
    needed = re.findall(r"\|\| echo (\w+)$", to_run, re.M)
    assert sorted(needed) == ["iproute2", "ipset", "iptables", "nftables"]
    assert all(re.search(rf"\b{package}\b", DOCKERFILE) for package in needed)
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    (user,) = re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)
    assert user == "reachq"
