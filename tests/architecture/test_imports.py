"""The import contract, and the few import rules that import-linter cannot express."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "compat_dispatcher", "dscp", "ledger", "netlab", "workers")

KNOWS_REDIS = ("ledger/", "workers/worker.py", "app/integrations/rq_board.py")
"""Modules that may import redis-py: the ledger, and two connections to RQ, which needs its own client."""
KNOWS_RQ = ("ledger/redis/rq_layout.py", "workers/", "app/integrations/rq_board.py")
CLI_MAY = {
    "app.answers",
    "app.changes",
    "app.cli",
    "app.launch.embedded",
    "app.launch.up",
    "app.formatting",
    "app.api.bench_documents",
    "app.api.change_documents",
    "app.api.documents",
    "app.api.host_documents",
    "app.api.network_documents",
    "app.api.snapshot_documents",
    "app.people.accounts",
    "app.remote",
    "app.rows",
    "app.questions",
    "app.api.bulk_documents",
    "app.snapshots",
    "app.stored_result",
    "dscp",
    "ledger",
    "netlab.errors",
    "netlab.facts.changes",
    "netlab.facts.reader",
    "netlab.facts.sample",
    "netlab.facts.sources",
    "netlab.results",
    "netlab.service.client",
    "netlab.service.replies",
    "netlab.service.status",
    "netlab.terminal",
    "netlab.topology.segments",
    "netlab.topology.topology",
}


def modules(*packages: str) -> Iterator[Path]:
    for package in packages or PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module a file imports, also inside functions; `from a import b` counts as `a`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def within(name: str, allowed: str) -> bool:
    return name == allowed or name.startswith(allowed + ".")


def offenders(library: str, allowed: tuple[str, ...]) -> list[str]:
    return [
        f"{where} imports {library}"
        for path in modules()
        if not (where := str(path.relative_to(ROOT))).startswith(allowed)
        and any(within(name, library) for name in imports(path))
    ]


def test_import_contract_holds() -> None:
    linted = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_only_the_ledger_speaks_to_redis() -> None:
    assert offenders("redis", KNOWS_REDIS) == []


def test_only_the_handoff_and_the_workers_know_rq() -> None:
    assert offenders("rq", KNOWS_RQ) == []


def test_the_cli_needs_only_the_ledger_the_benchs_client_and_the_pure_part_of_netlab() -> None:
    ours = {
        (str(path.relative_to(ROOT)), name)
        for path in modules("app/cli")
        for name in imports(path)
        if name.split(".")[0] in PACKAGES
    }
    wrong = [f"{where} imports {name}" for where, name in ours if not any(within(name, ok) for ok in CLI_MAY)]
    assert wrong == []


@pytest.mark.parametrize("module", ["app.cli", "ledger.store", "netlab.facts.reader", "compat_dispatcher.rules"])
def test_importing_opens_nothing_and_loads_no_web(module: str) -> None:
    """A fresh interpreter that imports the module holds no socket afterwards, and no Flask."""
    script = (
        f"import os, stat, sys, {module}\n"
        "open_ = [int(n) for n in os.listdir('/proc/self/fd')]\n"
        "def is_socket(n):\n"
        "    try: return stat.S_ISSOCK(os.fstat(n).st_mode)\n"
        "    except OSError: return False\n"
        "print(sorted({'flask', 'cheroot', 'rq'} & set(sys.modules)), [n for n in open_ if n > 2 and is_socket(n)])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert done.strip() == "[] []"
