"""Who may take the bench's address, who may use the bench, and whose answers a worker accepts."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from netlab.service.address import default_address, socket_address
from netlab.service.client import BenchClient, BenchError
from tests.bench.conftest import CAMPUS, parsed
from tests.bench.test_bench_process import YES, ended, start
from tests.support.patience import patience
from tests.support.strangers import ANOTHER, PYTHON, STRANGER, impostor, needs_root, readable_by_all, run_as

ROOT = Path(__file__).parents[2]
IN_DELETE = 0x200
_names = count(1)

STATUS = """
import contextlib, json, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(chr(0) + sys.argv[1][1:] if sys.argv[1][0] == "@" else sys.argv[1])
with contextlib.suppress(BrokenPipeError):  # refused already
    line.sendall(json.dumps({"op": "status"}).encode() + b"\\n")
print(line.makefile().readline())
"""
ASK = f"""
import sys
from netlab.service.client import BenchClient, BenchError
try:
    with BenchClient(sys.argv[1], 5).attempt(run_id="r", mode="quick", lane=32, fence=1) as attempt:
        services = {parsed(YES.service)!r}
        print(attempt.quick({YES.source!r}, {YES.destination!r}, services).verdict)
except BenchError as error:
    print(error.code)
"""


def abstract() -> str:
    return f"@reachq-address-{os.getpid()}-{next(_names)}"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter and write to."""
    with tempfile.TemporaryDirectory(prefix="reachq-open-") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def refused(address: str, **environment: str) -> str:
    """Why `python -m netlab` does not start at `address` (empty: the default); it must say so without a traceback."""
    command = [sys.executable, "-m", "netlab", "--network", str(CAMPUS), *(("--socket", address) if address else ())]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=patience(30),
        check=False,
        env={**os.environ, **environment},
        cwd=ROOT,
    )
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr


# A worker accepts only its own user's or root's bench.


@needs_root
@pytest.mark.parametrize("uid", [STRANGER, ANOTHER])
def test_the_answer_of_another_users_process_is_not_accepted(uid: int) -> None:
    address = abstract()
    with impostor(address, uid) as other:
        client = BenchClient(address, 5)
        with (
            pytest.raises(BenchError, match=rf"user {uid} listens at {address} in the bench's place") as caught,
            client.attempt(run_id="r", mode="quick", lane=32, fence=1) as attempt,
        ):
            attempt.quick(YES.source, YES.destination, parsed(YES.service))
        assert caught.value.code == "impostor"
        for ask in (client.status, client.journal, client.quit):
            with pytest.raises(BenchError) as again:
                ask()
            assert again.value.code == "impostor"
        assert other.process.poll() is None


@needs_root
def test_another_users_process_in_a_folder_that_all_may_write_to(open_folder: Path) -> None:
    address = str(open_folder / "bench.sock")
    with impostor(address):
        with pytest.raises(BenchError) as caught:
            BenchClient(address, 5).status()
        assert caught.value.code == "impostor"


@needs_root
def test_an_impostor_is_asked_nothing(open_folder: Path) -> None:
    address = str(open_folder / "bench.sock")
    with impostor(address) as other:
        with pytest.raises(BenchError), BenchClient(address, 5).attempt(run_id="r", mode="quick", lane=32, fence=1):
            raise AssertionError("the attempt began")
        process = other.process
        process.kill()
        process.wait(patience(10))
        assert not [line for line in other.said if line.startswith("asked")]


@needs_root
@pytest.mark.parametrize("own", [STRANGER, 1000])
def test_a_user_that_the_namespace_does_not_map_is_another_user(own: int) -> None:
    """In a user namespace every foreign user is shown as 65534, even to a process that is 65534 itself."""
    address = abstract()
    inside = ["unshare", "--user", f"--map-user={own}", f"--map-group={own}", "--"]
    with impostor(address, ANOTHER):
        done = subprocess.run(
            [*inside, sys.executable, "-c", ASK, address],
            capture_output=True,
            text=True,
            timeout=patience(20),
            cwd=ROOT,
            check=True,
        )
    assert done.stdout == "impostor\n"


@needs_root
def test_root_accepts_roots_bench_and_a_user_accepts_roots_too() -> None:
    process, address = start()
    with ended(process):
        done = subprocess.run(
            [sys.executable, "-c", ASK, address],
            capture_output=True,
            text=True,
            timeout=patience(20),
            cwd=ROOT,
            check=True,
        )
        assert done.stdout == "YES\n"


# The bench accepts only its own user and root.


@needs_root
@pytest.mark.parametrize("bench_uid", [0, STRANGER, ANOTHER])
@pytest.mark.parametrize("client_uid", [STRANGER, ANOTHER, ANOTHER + 1])
def test_a_client_of_another_user_is_refused(bench_uid: int, client_uid: int) -> None:
    as_user = ("setpriv", f"--reuid={bench_uid}", f"--regid={bench_uid}", "--clear-groups") if bench_uid else ()
    with contextlib.ExitStack() as stack:
        copy = stack.enter_context(readable_by_all(ROOT / "netlab", CAMPUS))
        found = (*as_user, "env", f"PYTHONPATH={copy}")
        process, address = start(copy / CAMPUS.name, before=found, python=PYTHON)
        stack.enter_context(ended(process))
        asked = run_as(client_uid, STATUS, address)
        reply = json.loads(asked.communicate(timeout=patience(10))[0])
        if client_uid == bench_uid:
            assert reply["ok"], "its own user is let in"
        else:
            assert (reply["ok"], reply["code"]) == (False, "forbidden")
            assert "may not use this bench" in reply["message"]


# The address.


def test_the_default_is_a_private_socket_in_the_data_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    environment = {**os.environ, "REACHQ_DATA": str(data), "REACHQ_BENCH": "lab"}
    process = subprocess.Popen(
        [sys.executable, "-m", "netlab", "--network", str(CAMPUS)], stdout=subprocess.PIPE, text=True, env=environment
    )
    with ended(process):
        assert process.stdout
        assert process.stdout.readline().startswith("bench ready")
        address = Path(default_address(data, "lab"))
        assert address == data / "bench-lab.sock"
        assert BenchClient(str(address), 5).status().pid == process.pid
        assert stat.S_IMODE(data.stat().st_mode) == 0o700, "a wider folder is closed to others"
        assert {path.name: stat.S_IMODE(path.lstat().st_mode) for path in data.iterdir()} == {
            "bench-lab.sock": 0o600,
            "bench-lab.sock.lock": 0o600,
        }


@needs_root
def test_another_users_data_folder_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, ANOTHER, ANOTHER)
    output = refused("", REACHQ_DATA=str(tmp_path))
    assert f"belongs to user {ANOTHER}, not to this one (0)" in output
    assert "REACHQ_DATA" in output


def test_a_long_path_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    address = default_address(deep, "main")
    for _ in range(2):  # the second one finds the files of the first
        process, _ = start(address=address)
        assert BenchClient(address, 5).status().pid == process.pid
        assert "another bench uses this address" in refused(address)
        process.kill()
        process.communicate(timeout=patience(10))
    with pytest.raises(BenchError) as away:
        BenchClient(address, 5).status()
    assert away.value.code == "unavailable"


def test_a_file_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    assert "its file name has more than 80 bytes; use a shorter one" in refused(str(tmp_path / ("n" * 90)))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"cannot listen on {tmp_path}/none/bench.sock: No such file" in refused(f"{tmp_path}/none/bench.sock")
    with pytest.raises(BenchError) as away:
        BenchClient(f"{tmp_path}/{'n' * 110}/bench.sock", 5).status()
    assert away.value.code == "unavailable"


def test_a_folder_that_all_may_write_to_is_refused(open_folder: Path) -> None:
    output = refused(str(open_folder / "bench.sock"))
    assert "every user may write to the folder" in output
    assert "chmod o-w" in output
    assert list(open_folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "folder"])
def test_what_is_not_a_socket_is_neither_removed_nor_followed(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "bench.sock", tmp_path / "other"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(other)
    if kind == "link":
        other.write_text("mine")
    assert "there is a file that is not a socket" in refused(str(path))
    assert path.is_symlink() == (kind in ("link", "dangling"))
    assert other.exists() == (kind == "link")
    if kind in ("file", "link"):
        assert path.read_text() == "mine"


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "bench.sock.lock").symlink_to(tmp_path / "victim")
    assert "cannot listen on" in refused(str(tmp_path / "bench.sock"))
    assert not (tmp_path / "victim").exists()


def test_a_link_in_place_of_the_new_socket_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "bench.sock.new").symlink_to(tmp_path / "victim")
    process, address = start(address=str(tmp_path / "bench.sock"))
    with ended(process):
        assert BenchClient(address, 5).status().pid == process.pid
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.sock", "bench.sock.lock"]


def test_a_process_without_a_lock_keeps_its_address(tmp_path: Path) -> None:
    """As a bench of an older version has none."""
    path = tmp_path / "bench.sock"
    with socket.socket(socket.AF_UNIX) as older:
        older.bind(str(path))
        older.listen(1)
        inode = path.lstat().st_ino
        assert f"Process {os.getpid()} of user {os.getuid()} listens there" in refused(str(path))
        assert path.lstat().st_ino == inode


def test_after_kill_9_the_path_is_replaced_and_never_free(tmp_path: Path) -> None:
    process, address = start(address=str(tmp_path / "bench.sock"))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=patience(10))
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(watch, os.fsencode(tmp_path), IN_DELETE) > 0
    again, _ = start(address=address)
    with ended(again):
        assert BenchClient(address, 5).status().pid == again.pid
        assert "bench.sock" not in deleted(watch), "for that moment another process could have taken it"
        again.terminate()
        assert again.wait(patience(10)) == 0
        assert "bench.sock" in deleted(watch), "after an orderly end the path is free"
    os.close(watch)


def deleted(watch: int) -> set[str]:
    """Names of the files deleted since the last call, from an inotify descriptor (inotify(7))."""
    names = set[str]()
    try:
        events = os.read(watch, 65536)
    except BlockingIOError:
        return names
    while events:
        (length,) = struct.unpack_from("I", events, 12)
        names.add(events[16 : 16 + length].rstrip(b"\0").decode())
        events = events[16 + length :]
    return names


def test_an_ended_bench_leaves_its_successors_socket(tmp_path: Path) -> None:
    """The file at the path may be another one by then."""
    process, address = start(address=str(tmp_path / "bench.sock"))
    with ended(process), socket.socket(socket.AF_UNIX) as successor:
        Path(address).unlink()
        successor.bind(address)
        process.terminate()
        assert process.wait(patience(10)) == 0
        assert Path(address).is_socket()


def test_of_two_that_start_together_one_listens(tmp_path: Path) -> None:
    address = str(tmp_path / "bench.sock")
    command = [sys.executable, "-m", "netlab", "--network", str(CAMPUS), "--socket", address]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        first = [process.stdout.readline() for process in both if process.stdout]
        assert sorted(line.startswith("bench ready") for line in first) == [False, True]
        lives = next(process for process, line in zip(both, first, strict=True) if line)
        with socket_address(address) as name, socket.socket(socket.AF_UNIX) as line:
            line.connect(name)
        assert BenchClient(address, 5).status().pid == lives.pid
    finally:
        for process in both:
            process.kill()
            process.communicate(timeout=patience(10))
