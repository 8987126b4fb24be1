"""The files in deploy/: units that systemd accepts and that agree with the Procfile, and nginx in front of reachq."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from honcho.environ import parse_procfile

from ledger.settings import Settings
from tests.support.patience import patience
from tests.support.secured import Certificates
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.web import TOKEN, Web
from tests.system.running import REACHQ, ROOT, System, clean_environment

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
NGINX = ROOT / "deploy" / "nginx" / "reachq.conf"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OTHER = 4242
"""A uid that this machine does not have."""
OF_THE_BENCH = {"CAP_" + right for right in COMPOSE["bench"]["cap_add"]}


def values(unit: Path, name: str) -> list[str]:
    """The values of all lines `name=…` of a unit."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.M)


def sbin(program: str) -> str:
    """The path of a system program; the test is skipped where it is not installed."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def test_the_units_run_the_processes_of_the_procfile() -> None:
    commands = set(parse_procfile((ROOT / "Procfile").read_text()).processes.values())
    started = {command.removeprefix("/opt/reachq/bin/") for unit in UNITS for command in values(unit, "ExecStart")}
    assert {command for command in started if command.startswith("python ")} == commands
    assert {command.split()[:2] == ["reachq", "up"] for command in started - commands} == {True}


def test_the_target_wants_every_unit_that_runs_one_process() -> None:
    target = (ROOT / "deploy" / "systemd" / "reachq.target").read_text()
    units = {re.sub(r"@\d", "@", name) for name in re.findall(r"[\w@-]+\.service", target)}
    assert units == {unit.name for unit in UNITS} - {"reachq.service"}


def test_the_units_of_a_further_host_can_be_enabled() -> None:
    guide = (ROOT / "deploy" / "README.md").read_text()
    (named,) = re.findall(r"On a further host,.*?`systemctl enable --now ([^`]+)`", guide, re.S)
    for name in named.split():
        assert values(ROOT / "deploy" / "systemd" / name, "WantedBy") == ["multi-user.target"], name


def test_the_settings_of_the_guide_have_no_comment_in_their_value() -> None:
    """systemd reads everything after `=` as the value."""
    settings = re.findall(r"^REACHQ_\w+=(.*)$", (ROOT / "deploy" / "README.md").read_text(), re.M)
    assert settings
    assert not [value for value in settings if " " in value or "#" in value]


def test_only_the_bench_has_capabilities_and_the_same_as_in_its_container() -> None:
    granted = {unit.stem: set(" ".join(values(unit, "CapabilityBoundingSet")).split()) for unit in UNITS}
    assert granted.pop("reachq-bench") == OF_THE_BENCH
    assert not any(granted.values()), granted
    assert all(len(values(unit, "CapabilityBoundingSet")) == 1 for unit in UNITS), "without the line all are granted"
    assert all(values(unit, "NoNewPrivileges") == ["yes"] for unit in UNITS)


def test_no_unit_loads_a_package_of_its_current_folder() -> None:
    for unit in UNITS:
        assert "PYTHONSAFEPATH=1" in " ".join(values(unit, "Environment")).split(), unit.name


def test_settings_in_the_units_exist() -> None:
    known = {f"REACHQ_{name.upper()}" for name in Settings.model_fields}
    for file in [*UNITS, NGINX, ROOT / "deploy" / "README.md"]:
        assert set(re.findall(r"\bREACHQ_[A-Z][A-Z_]*[A-Z]\b", file.read_text())) <= known, file


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    analyze = sbin("systemd-analyze")
    for file in (ROOT / "deploy" / "systemd").iterdir():
        here = file.read_text().replace("/opt/reachq/bin", str(Path(sys.executable).parent))
        (tmp_path / file.name.replace("@", "@1")).write_text(here)
    checked = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", *sorted(tmp_path.iterdir())],
        env={**clean_environment(), "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to take away")
def test_the_system_starts_with_the_rights_of_its_unit() -> None:
    """What of reachq.service can be tried without systemd: its user without any capability, and no way to more."""
    user = [
        "setpriv",
        f"--reuid={OTHER}",
        f"--regid={OTHER}",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
    ]
    if subprocess.run([*user, REACHQ, "--version"], cwd="/", capture_output=True, check=False).returncode != 0:
        pytest.skip("another user may not read this checkout")
    with tempfile.TemporaryDirectory(prefix="reachq-unit-") as state:
        os.chown(state, OTHER, OTHER)
        system = System(Path(state), prefix=user, cwd=Path("/"))
        try:
            assert "10.1.10.20 → 10.3.20.8  NO" in system.ready().output
            assert system.end(signal.SIGTERM) == 0
        finally:
            system.close()


# nginx


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def configuration(folder: Path, certificates: Certificates, *, web: int, https: int, http: int) -> Path:
    """The file of deploy/ in a main configuration, with certificates and ports of this test and no IPv6."""
    text = NGINX.read_text()
    text = re.sub(r"^.*listen \[::\].*\n", "", text, flags=re.M)
    for before, after in {
        "listen 80;": f"listen 127.0.0.1:{http};",
        "listen 443 ": f"listen 127.0.0.1:{https} ",
        "127.0.0.1:8080": f"127.0.0.1:{web}",
        "/etc/ssl/reachq/fullchain.pem": str(certificates["server.pem"]),
        "/etc/ssl/reachq/privkey.pem": str(certificates["server.key"]),
    }.items():
        assert before in text, before
        text = text.replace(before, after)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    main = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    main.write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{text}}}\n"
    )
    return main


def test_nginx_accepts_the_configuration(tmp_path: Path, certificates: Certificates) -> None:
    nginx = sbin("nginx")
    main = configuration(tmp_path, certificates, web=8080, https=free_port(), http=free_port())
    checked = subprocess.run([nginx, "-t", "-c", main], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr


class Proxy:
    """nginx with the configuration of deploy/ before a web server."""

    def __init__(self, https: int, http: int, certificates: Certificates) -> None:
        self.https, self.http = https, http
        self._tls = ssl.create_default_context(cafile=str(certificates["ca.pem"]))

    def connection(self) -> HTTPSConnection:
        return HTTPSConnection("localhost", self.https, context=self._tls, timeout=patience(10))


@pytest.fixture
def proxy(server: Server, tmp_path: Path, certificates: Certificates) -> Iterator[Proxy]:
    nginx = sbin("nginx")
    web = Web(server.url, tmp_path, REACHQ_HTTPS="true", REACHQ_PROXY_FROM="127.0.0.1")
    found = Proxy(free_port(), free_port(), certificates)
    main = configuration(tmp_path, certificates, web=web.port, https=found.https, http=found.http)
    running = subprocess.Popen([nginx, "-c", main], stderr=subprocess.DEVNULL)

    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", found.https), 1):
            return True
        return False

    try:
        wait_until(listens, 10, "nginx listens")
        yield found
    finally:
        running.terminate()
        running.wait(patience(10))
        web.stop()


def test_through_nginx_pages_are_sent_with_every_header_that_is_wanted(proxy: Proxy) -> None:
    connection = proxy.connection()
    connection.request("GET", "/sign-in", headers={"X-Remote-User": "admin"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200
    assert answer.headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]
    for name in ("Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy"):
        assert len(answer.headers.get_all(name) or []) == 1, name


def test_through_nginx_events_arrive_at_once(proxy: Proxy) -> None:
    connection = proxy.connection()
    connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {TOKEN}"})
    began = time.monotonic()
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline(), "the opening of the stream"
    assert time.monotonic() - began < patience(3), "reachq sends the next line after 10 s"
    connection.close()


def test_http_leads_to_https(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.http), patience(5)) as plain:
        plain.sendall(b"GET /runs?x=1 HTTP/1.1\r\nHost: reachq.example.org\r\nConnection: close\r\n\r\n")
        head = plain.makefile("rb").read().decode()
    assert head.startswith("HTTP/1.1 301")
    assert "Location: https://reachq.example.org/runs?x=1" in head
