"""The log of a whole system as JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_until
from tests.system.running import System


def json_lines(system: System) -> list[dict[str, Any]]:
    return [json.loads(line) for line in system.output.splitlines() if line.startswith("{")]


def test_json_lines_of_all_processes_can_be_read_from_one_terminal(tmp_path: Path) -> None:
    system = System(tmp_path / "data", settings={"REACHQ_LOG_FORMAT": "json", "REACHQ_LOG_LEVEL": "debug"})
    try:
        system.ready()
        done = system.run("submit", "10.1.10.20", "10.3.20.8", "443", "--wait", "--json")
        run_id = json.loads(done.stdout)["run_id"]
        wait_until(
            lambda: any(line["process"] == "bench" and line.get("run_id") == run_id for line in json_lines(system)),
            10,
            "the bench logs the attempt of the run",
        )
        assert {"dispatcher", "workers", "bench"} <= {line["process"] for line in json_lines(system)}
        assert "Traceback" not in system.output
    finally:
        system.close()
