"""prctl(2): /proc shows what the helper has set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from netlab.kernel import prctl


def in_a_new_process(script: str) -> str:
    code = "import signal; from netlab.kernel import prctl; status = lambda: open('/proc/thread-self/status').read()\n"
    return subprocess.run(
        [sys.executable, "-c", code + script], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_parent_death_signal_can_be_read_back() -> None:
    script = "prctl.set_parent_death_signal(signal.SIGTERM); print(prctl.parent_death_signal())"
    assert in_a_new_process(script) == str(int(signal.SIGTERM))


def test_a_long_name_is_cut_to_the_kernels_limit() -> None:
    script = "prctl.set_thread_name('x' * 40); print(open('/proc/thread-self/comm').read())"
    assert in_a_new_process(script) == "x" * prctl.NAME_BYTES


def test_new_privileges_are_forbidden() -> None:
    assert "NoNewPrivs:\t1" in in_a_new_process("prctl.forbid_new_privileges(); print(status())")


def test_the_bounding_capabilities_are_those_of_proc() -> None:
    shown = next(line for line in open("/proc/thread-self/status") if line.startswith("CapBnd:"))  # noqa: SIM115
    assert prctl.bounding_capabilities() == {n for n in range(64) if int(shown.split()[1], 16) >> n & 1}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to drop rights")
def test_a_dropped_capability_is_gone() -> None:
    script = "prctl.drop_bounding_capability(12); print(12 in prctl.bounding_capabilities())"
    assert in_a_new_process(script) == "False"


def test_a_refusal_names_the_call() -> None:
    with pytest.raises(OSError, match="prctl PR_SET_PDEATHSIG: Invalid argument"):
        prctl.set_parent_death_signal(1000)
