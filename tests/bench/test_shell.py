"""`reachq bench shell` and `reachq bench journal` with a real bench."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netlab.service.client import BenchClient, BenchError
from tests.bench.conftest import CAMPUS, Bench, running_bench
from tests.support.patience import patience

REACHQ = Path(sys.executable).parent / "reachq"


def address_of(bench: Bench) -> str:
    return str(bench.process.args[-1])  # type: ignore[index]


def reachq(bench: Bench | str, *arguments: str, uid: int | None = None) -> tuple[int, str, str]:
    """Exit code, output and error output of `reachq bench …`."""
    address = bench if isinstance(bench, str) else address_of(bench)
    done = subprocess.run(
        [REACHQ, "bench", *arguments],
        env={**os.environ, "REACHQ_BENCH_SOCKET": address},
        capture_output=True,
        text=True,
        timeout=patience(30),
        check=False,
        user=uid,
        group=uid,
        extra_groups=[] if uid else None,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_command_runs_in_the_routers_namespace(campus: Bench) -> None:
    code, output, _ = reachq(campus, "shell", "dc-fw", "--", "ip", "-j", "link")
    assert code == 0
    names = {link["ifname"] for link in json.loads(output)}
    facts = json.loads((CAMPUS / "dc-fw" / "addr.json").read_text())
    assert {link["ifname"] for link in facts} <= names


def test_a_command_sees_the_routers_own_rules(campus: Bench) -> None:
    code, output, _ = reachq(campus, "shell", "dc-fw", "--", "nft", "list", "tables")
    assert code == 0
    assert "reachq_bench" in output
    assert reachq(campus, "shell", "dc-fw", "nft", "-a", "list", "tables")[1] == output


def test_the_exit_code_of_the_command_is_passed_on(campus: Bench) -> None:
    assert reachq(campus, "shell", "dc-fw", "sh", "-c", "exit 7")[0] == 7
    assert reachq(campus, "shell", "dc-fw", "--", "no-such-command")[0] == 127


def test_the_shell_reads_its_standard_input(campus: Bench) -> None:
    done = subprocess.run(
        [REACHQ, "bench", "shell", "dc-fw"],
        env={**os.environ, "REACHQ_BENCH_SOCKET": address_of(campus), "SHELL": "/bin/sh"},
        input="echo in $REACHQ_ROUTER; exit 3\n",
        capture_output=True,
        text=True,
        timeout=patience(30),
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "in dc-fw\n")


def test_an_unknown_router_is_refused_with_the_names_of_the_others(campus: Bench) -> None:
    code, _, error = reachq(campus, "shell", "nowhere", "true")
    assert code == 125
    assert "no router nowhere; the bench has " in error
    assert "dc-fw" in error


def test_without_a_bench_the_message_says_how_to_start_one() -> None:
    code, _, error = reachq("@reachq-no-bench-here", "shell", "dc-fw", "true")
    assert code == 125
    assert "no bench answers at @reachq-no-bench-here" in error
    assert "`reachq up`" in error


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_the_user_of_a_rootless_bench_joins_its_user_namespace() -> None:
    """The bench runs as another user, in a user namespace of its own; that user may enter, root is refused."""
    address = f"@reachq-rootless-{os.getpid()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "netlab", "--network", str(CAMPUS), "--socket", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=65533,
        group=65533,
        extra_groups=[],
    )
    try:
        assert process.stdout
        if not process.stdout.readline().startswith("bench ready"):
            pytest.skip(f"no rootless bench here: {process.communicate()[1]}")
        code, output, error = reachq(address, "shell", "dc-fw", "ip", "-o", "-4", "addr", uid=65533)
        assert (code, error) == (0, "")
        assert "127.0.0.1/8" in output
        assert len(output.splitlines()) > 1
        code, _, error = reachq(address, "shell", "dc-fw", "true")
        assert code == 125
        assert "as the user who started the bench" in error
    finally:
        process.terminate()
        process.communicate(timeout=patience(10))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_another_user_is_refused_with_a_remedy(campus: Bench) -> None:
    code, _, error = reachq(campus, "shell", "dc-fw", "true", uid=65534)
    assert code == 125
    assert "as root or as the user who started the bench" in error


def test_the_journal_shows_runs_and_shells_in_order() -> None:
    with running_bench(CAMPUS) as bench:
        assert reachq(bench, "journal")[1] == "no run has used the network since the bench started\n"
        bench.quick("10.1.10.20", "10.3.20.8", "443/tcp")
        reachq(bench, "shell", "dc-fw", "true")
        code, output, _ = reachq(bench, "journal", "--json")
        assert code == 0
        entries = json.loads(output)["journal"]
        assert [(entry["what"], entry["run_id"]) for entry in entries] == [("quick", "test"), ("shell in dc-fw", "")]
        code, output, _ = reachq(bench, "journal")
        assert [line.split()[2] for line in output.splitlines()] == ["quick", "shell"]


def test_the_namespace_path_is_gone_with_the_bench() -> None:
    with running_bench(CAMPUS) as bench:
        path = bench.client.namespace("dc-fw")
        assert path.exists()
    assert not path.exists()
    with pytest.raises(BenchError, match="no bench answers"):
        BenchClient(address_of(bench), 1).namespace("dc-fw")
