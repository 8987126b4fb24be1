"""The tools are confined whatever their input: hostile scripts go directly to them here, bypassing the allow lists."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlab.errors import MachineError
from netlab.kernel import confined, mounts, namespaces, prctl
from netlab.kernel.confined import SCRIPT, Done, Tools
from netlab.live.load import restore_tool, tool
from tests.bench.isolated import in_a_child

SECRET = "confined-secret-0815"
NOBODY = 65534


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder of this machine with a secret and a program; every user may read and write there, but nothing may
    change.
    """
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o777 if folder == tmp_path else folder.stat().st_mode | 0o055)
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "run").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "run").chmod(0o755)
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "secret"]
    assert (tmp_path / "secret").read_text() == f"{SECRET}\n"


def inside(uid: int, command: list[str], text: str = "", threads: int = 1) -> Done:
    """Run one tool as a bench of this user would."""

    def body() -> str:
        namespaces.isolate()
        with Tools(threads) as tools:
            done = tools.run(command, text)
        return f"{done.code}\n{done.output}"

    code, _, output = in_a_child(body, uid).partition("\n")
    return Done(None if code == "None" else int(code), output)


@pytest.fixture(params=["root", "without root"])
def uid(request: pytest.FixtureRequest) -> int:
    """Both ways a bench may be run; a user who is not root can only try the second."""
    if request.param == "root":
        if os.geteuid() != 0:
            pytest.skip("this needs root")
        return 0
    return NOBODY if os.geteuid() == 0 else os.geteuid()


WRITES = [
    "save -file {out}/written",
    "save a -file {out}/written",
    "save a -file /tmp/written",
    "save a -file written",
    "save a -file /etc/written",
    "save a -file /usr/written",
    "save a -file /home//written",
    "save a -file /var/written",
    "save a -file {out}/secret",
]


@pytest.mark.parametrize("line", WRITES)
def test_ipset_writes_no_file(line: str, uid: int, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without this protection, the first of these writes a file with the attacker's text as the bench's
    user.
    """
    monkeypatch.chdir(outside)
    done = inside(uid, [tool("ipset"), "restore"], f"create a hash:ip\n{line.replace('{out}', str(outside))}\n")
    assert done.code != 0
    assert "annot" in done.output or "No such file" in done.output, done


READS = [
    "{out}/secret",
    "{out}/*",
    "secret",
    "/etc/shadow",
    "/etc/passwd",
    "/etc/hostname",
    "/proc/self/environ",
    "/proc/1/root{out}/secret",
    "/proc/self/cwd/secret",
    "/dev/stdin",
    "/sys/kernel/notes",
    "/usr/../{out}/secret",
]


@pytest.mark.parametrize("path", READS)
def test_nft_reads_no_file(path: str, uid: int, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(outside)
    path = path.replace("{out}", str(outside))
    done = inside(uid, [tool("nft"), "-f", SCRIPT], f'table ip t {{\n}}\ninclude "{path}"\n')
    assert SECRET not in done.output
    assert done.code == 0 if "*" in path else done.code != 0  # a pattern without a match is not an error for nft
    assert "*" in path or "No such file" in done.output or "not found" in done.output.lower(), done


def test_iptables_runs_no_program(uid: int, outside: Path) -> None:
    text = f"*filter\n--modprobe={outside}/run -A FORWARD -m nonsense -j DROP\nCOMMIT\n"
    assert inside(uid, [restore_tool()], text).code != 0
    assert inside(uid, ["/bin/sh", "-c", f"exec {outside}/run"]).code != 0


LOOKS = {
    "only the system's programs are to be seen": (
        'cd /; for f in *; do [ -L $f ] || [ -z "$( [ -d $f ] && ls -A $f || cat $f)" ] || echo $f >&2; done',
        {"etc", "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "tmp"},
    ),
    "of /etc there are tables of names": ("ls -A /etc >&2", set(mounts.ETC)),
}


@pytest.mark.parametrize("look", LOOKS)
def test_what_is_to_be_seen(look: str, uid: int) -> None:
    script, known = LOOKS[look]
    seen = set(inside(uid, ["/bin/sh", "-c", script]).output.splitlines())
    assert seen <= known
    assert seen


def test_nothing_can_be_written_but_run(uid: int) -> None:
    script = "for f in / /etc /usr /tmp /var /home /root /dev /proc /sys /opt; do (: > $f/written); done"
    done = inside(uid, ["/bin/sh", "-c", script])
    assert done.output.count("cannot create") == 11, done
    done = inside(uid, ["/bin/sh", "-c", "head -c 1000000 /usr/bin/env /usr/bin/env > /run/x || wc -c < /run/x >&2"])
    assert int(done.output.split()[-1]) <= 65536, done


def test_there_are_two_rights_and_no_way_to_more(uid: int) -> None:
    read = "print([n for n in range(64) if c.prctl(23, n, 0, 0, 0) == 1], c.prctl(39, 0, 0, 0, 0), file=sys.stderr)"
    done = inside(uid, ["/usr/bin/python3", "-I", "-c", f"import ctypes, sys; c = ctypes.CDLL(None); {read}"])
    if done.code == 0:  # the system has a Python
        assert done.output == "[12, 13] 1\n"
    for attempt in (
        "umount /tmp",
        "mount -t tmpfs none /usr",
        "mount -o remount,rw /",
        "chroot /usr /bin/true",
        "chown 5 /run",
    ):
        done = inside(uid, ["/bin/sh", "-c", attempt])
        assert done.code not in (0, 127), done


def test_the_time_is_limited(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "TIME_S", 0.2)
    assert inside(uid, ["/bin/sleep", "1000"]).code is None


def test_what_a_tool_says_is_limited(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "FILE_BYTES", 4 << 20)
    done = inside(uid, ["/bin/sh", "-c", "while :; do cat /usr/bin/env >&2 || exit 9; done"])
    assert done.code not in (0, None)
    assert len(done.output.encode()) <= 3 * confined.OUTPUT_BYTES


def test_the_memory_is_limited(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "MEMORY_BYTES", 64 << 20)
    done = inside(uid, ["/bin/sh", "-c", "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done"])
    assert done.code not in (0, None)


def test_a_machine_that_does_not_allow_it_runs_no_tool(monkeypatch: pytest.MonkeyPatch, outside: Path) -> None:
    """For example without the right to drop rights, as in a container with too few capabilities."""

    def body() -> str:
        namespaces.isolate()
        monkeypatch.setattr(prctl, "CAPBSET_DROP", 1_000_000)
        try:
            Tools()
        except MachineError as bad:
            return str(bad)
        return "confined all the same"

    output = in_a_child(body, 0 if os.geteuid() == 0 else os.geteuid())
    assert output.startswith(
        "cannot confine the tools (hide this machine's files and drop their rights): [Errno 22] prctl PR_CAPBSET_DROP"
    )
    assert "CAP_SETPCAP" in output


def test_the_bench_s_own_threads_and_limits_are_as_before() -> None:
    script = """
import os, resource
from netlab.kernel import namespaces
from netlab.kernel.confined import Tools
def state():
    here = [os.readlink("/proc/thread-self/ns/mnt"), os.getcwd(), os.listdir("/")]
    limits = [resource.getrlimit(l) for l in (resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_CORE)]
    status = [l for l in open("/proc/thread-self/status") if l.startswith(("Cap", "NoNewPrivs"))]
    return here, limits, status, len(os.listdir("/proc/self/fd"))
namespaces.isolate()
before = state()
with Tools(3) as tools:
    assert state()[0] == before[0] and state()[2] == before[2]
    assert tools.run(["/bin/true"], "").code == 0
assert state() == before, (before, state())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
