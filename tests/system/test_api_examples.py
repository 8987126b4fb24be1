"""The three worked examples at the top of /docs/api do what they say, with a real bench."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.system.running import CAMPUS, System


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The sample network, in which dc-fw accepts everything."""
    folder = tmp_path / "changed"
    shutil.copytree(CAMPUS, folder)
    file = folder / "dc-fw" / "iptables.rules"
    file.write_text(file.read_text().replace(":FORWARD DROP", ":FORWARD ACCEPT"))
    return folder


def test_the_examples_work(tmp_path: Path, changed: Path) -> None:
    if not shutil.which("curl"):
        missing("no curl on this machine")
    system = System(tmp_path / "data", options=["--no-first"], quick=1)
    try:
        system.ready()
        token = (system.data / "token").read_text().strip()
        asked = urllib.request.Request(f"{system.url}/docs/api", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=20) as page:
            text = page.read().decode()
        alone, many, change = (
            html.unescape(one) for one in re.findall(r'<pre id="example-\d"[^>]*>(.*?)</pre>', text, re.S)
        )
        first, second = commands(alone)
        run = reply(first, token)
        assert (run["state"], run["verdict"]) == ("done", "NO")
        assert reply(second.replace("RUN", run["id"]), token)["services"][0]["blocked_by"] == ["dc-fw", "dc-core"]

        first, second = commands(many)
        (bulk,) = reply(first, token)["runs"]
        answers = until_answered(second.replace("RUN", bulk["id"]), token)
        assert [answer["verdict"] for answer in answers["answers"]] == ["NO"]

        first, second, third = commands(change)
        snapshot = reply(first.replace("FOLDER", str(changed)), token)
        assert snapshot["state"] == "ready", snapshot
        compared = reply(second.replace("AFTER", snapshot["facts"]), token)
        assert (compared["finished"], compared["questions"]) == (True, 1)
        report = output(third.replace("CHANGE", compared["id"]), token)
        assert report.startswith("## Impact of the change from")
        assert "1 blocked by another rule, 1 the same (2 cells of 1 question)" in report.replace("cell ", "")
    finally:
        system.close()


def commands(text: str) -> list[str]:
    """Split the text of an example into its commands; a command may continue on the next line."""
    return re.split(r"\n(?! )", text.strip())


def output(command: str, token: str) -> str:
    env = {"PATH": os.environ["PATH"], "TOKEN": token}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=env, timeout=90, check=True)
    return done.stdout


def reply(command: str, token: str) -> Any:
    return json.loads(output(command, token))


def until_answered(command: str, token: str) -> Any:
    """Repeat a command while the run has no answers yet."""
    for _ in range(100):
        document = reply(command, token)
        if "answers" in document:
            return document
    raise AssertionError(document)
