"""The parts of `reachq up` that need no system: lines of output, the data folder, the Procfile's parts."""

from __future__ import annotations

import io
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.launch import embedded, up
from app.launch.first_password import FirstPassword
from app.launch.lines import OutputLines
from ledger.settings import DATA, load_settings
from netlab.facts.reader import load
from netlab.facts.sample import SAMPLE, network_folder
from netlab.service import address as bench_address

SHORT = "reachq-unit"


def printed(lines: OutputLines, out: io.StringIO) -> list[str]:
    return [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in out.getvalue().splitlines()]


def test_chunks_become_whole_lines() -> None:
    out = io.StringIO()
    lines = OutputLines(out, width=4)
    assert lines.feed("web", b"one\ntw") == ["one"]
    lines.feed("bus", b"between\n")
    assert lines.feed("web", b"o\r\nthr") == ["two"]
    assert lines.feed("web", b"") == ["thr"]
    assert printed(lines, out) == ["web  | one", "bus  | between", "web  | two", "web  | thr"]


def test_bytes_that_are_no_text_do_not_stop_it() -> None:
    out = io.StringIO()
    OutputLines(out).feed("web", b"\xff\xfe\n")
    assert "\ufffd" in out.getvalue()


def test_a_line_without_end_is_printed_in_pieces() -> None:
    out = io.StringIO()
    lines = OutputLines(out)
    lines.feed("web", b"x" * 70_000)
    assert len(out.getvalue()) > 70_000


def test_a_line_that_is_not_shown_is_returned_all_the_same() -> None:
    out = io.StringIO()
    lines = OutputLines(out, width=4)
    assert lines.feed("web", b"one\ntwo\n", lambda line: line != "one") == ["one", "two"]
    assert printed(lines, out) == ["web  | two"]


def test_the_log_of_the_server_keeps_the_advice_that_the_terminal_does_not_show(tmp_path: Path) -> None:
    advice = "7:M 28 Nov 2026 05:14:58.417 # WARNING Memory overcommit must be enabled! Without it, a save may fail."
    fault = "7:M 28 Nov 2026 05:14:58.417 # Bad file format reading the append only file"
    log = embedded.ServerLog(tmp_path)
    assert [log(line) for line in (advice, fault)] == [False, True]
    assert (tmp_path / "redis.log").read_text() == f"{advice}\n{fault}\n"
    assert stat.S_IMODE((tmp_path / "redis.log").stat().st_mode) == 0o600


def test_a_long_log_of_the_server_makes_room_for_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "redis.log").write_text("x" * (embedded.LOG_MOST + 1))
    embedded.ServerLog(tmp_path)("new")
    assert (tmp_path / "redis.log").read_text() == "new\n"
    assert (tmp_path / "redis.log.old").stat().st_size == embedded.LOG_MOST + 1


def test_without_colour_there_are_no_escape_sequences() -> None:
    plain, coloured = io.StringIO(), io.StringIO()
    for out, colour in ((plain, False), (coloured, True)):
        lines = OutputLines(out, colour=colour)
        lines.feed("web", b"hello\n")
        lines.block("\x1b[31mNO\x1b[0m")
    assert "\x1b" not in plain.getvalue()
    assert coloured.getvalue().count("\x1b") >= 4


def test_the_data_folder_is_made_private(tmp_path: Path) -> None:
    embedded.prepare(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    older = tmp_path / "open" / "appendonlydir" / "appendonly.aof"
    older.parent.mkdir(mode=0o755, parents=True)
    older.write_text("of an older version")
    older.chmod(0o644)
    (tmp_path / "open").chmod(0o755)
    embedded.prepare(tmp_path / "open")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "open", older.parent, older)] == [
        *(0o700, 0o700, 0o600)
    ]


def test_the_lock_names_its_living_holder(tmp_path: Path) -> None:
    lock = embedded.take_lock(tmp_path)
    with pytest.raises(embedded.AlreadyRunning, match=rf"pid {os.getpid()}\).*--data"):
        embedded.take_lock(tmp_path)
    os.close(lock)
    os.close(embedded.take_lock(tmp_path))


@pytest.mark.slow
def test_a_server_that_is_still_closing_is_waited_for(tmp_path: Path) -> None:
    """`reachq up` is dead, its server still holds the lock for a moment: the next start waits, and gets it."""
    script = (
        "import os, sys, time; from pathlib import Path; from app.launch import embedded\n"
        "fd = embedded.take_lock(Path(sys.argv[1]))\n"
        "if os.fork(): print('held', flush=True); os._exit(0)\n"
        "time.sleep(0.5)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    assert done.stdout == b"held\n"
    os.close(embedded.take_lock(tmp_path))


def embedded_machine() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_socket_left_by_a_crash_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / embedded.SOCKET
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    embedded.server_command(tmp_path)
    assert not path.exists()
    path.write_text("a file of somebody's")
    embedded.server_command(tmp_path)
    assert path.exists()


def test_the_server_is_private_and_keeps_what_it_accepted(tmp_path: Path) -> None:
    command = embedded.server_command(tmp_path)
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--port"] == "0"
    assert options["--unixsocketperm"] == "600"
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert int(options["--maxmemory"]) == embedded.memory_bytes()
    assert options["--unixsocket"] == str(tmp_path / "redis.sock")
    assert load_settings(data=tmp_path).redis_address == f"unix://{options['--unixsocket']}"


@pytest.mark.parametrize(
    ("limit", "share"),
    [("max\n", 1.0), (None, 1.0), (f"{1 << 30}\n", (1 << 30) / embedded_machine()), ("4096\n", 0.0)],
)
def test_the_memory_of_the_server_is_a_quarter_of_the_machine_or_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, share: float
) -> None:
    limit_file = tmp_path / "memory.max"
    if limit is not None:
        limit_file.write_text(limit)
    monkeypatch.setattr(embedded, "CGROUP_LIMIT", limit_file)
    least = 128 << 20
    assert embedded.memory_bytes() == pytest.approx(max(least, share * embedded_machine() / 4), rel=1e-9, abs=1)
    assert embedded.memory_bytes(300) == 300 << 20


@pytest.mark.parametrize("length", [107, 108])
def test_the_longest_socket_path(length: int) -> None:
    folder = Path("/tmp/" + "x" * (length - len("/tmp//redis.sock")))
    if length == 107:
        embedded.server_command(folder)
    else:
        with pytest.raises(embedded.StartError, match=r"108 bytes.*--data"):
            embedded.server_command(folder)


def test_parts_run_the_procfile_with_this_python_first(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path, port=1234)
    password = FirstPassword()
    parts = {part.name: part for part in up.processes(settings, password)}
    assert list(parts) == ["web", "dispatcher1", "dispatcher2", "bench", "workers"]
    web = parts["web"]
    assert list(web.argv) == ["/bin/sh", "-c", "exec python -m app"]
    assert web.env["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert web.env["REACHQ_PORT"] == "1234"
    assert web.env["REACHQ_DATA"] == str(tmp_path)
    assert parts["workers"].stage > web.stage > 0
    assert web.pass_fds == (password.descriptor,)
    assert web.env["REACHQ_FIRST_PASSWORD_FD"] == str(password.descriptor)
    assert not any(part.pass_fds or "REACHQ_FIRST_PASSWORD_FD" in part.env for part in parts.values() if part != web)
    assert up.server(settings.model_copy(update={"redis_url": "redis://elsewhere"}), 3) == []


def test_the_first_password_is_read_when_it_was_written_and_stays() -> None:
    password = FirstPassword()
    assert password.read() == ""
    os.write(password.descriptor, b"a-password")
    assert [password.read(), password.read()] == ["a-password", "a-password"]


def test_the_data_folder_and_the_network_do_not_depend_on_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REACHQ_DATA", "REACHQ_NETWORK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.data == tmp_path / "home" / ".local" / "state" / "reachq"
    assert DATA == bench_address.DATA, "the bench has the same default"
    assert settings.network is None
    assert network_folder(settings.network) == SAMPLE
    assert len(load(SAMPLE).routers) == 11


def test_an_empty_setting_of_the_network_is_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REACHQ_NETWORK", "")
    assert load_settings().network is None


def test_data_of_an_older_version_in_the_current_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REACHQ_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert up.older_data(load_settings()) == ""
    (tmp_path / "var" / "appendonlydir").mkdir(parents=True)
    assert "--data var" in up.older_data(load_settings())
    assert up.older_data(load_settings(data=tmp_path)) == ""


def test_a_free_port_and_a_taken_one() -> None:
    assert up.free_port("127.0.0.1", 0) > 0
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(embedded.StartError, match="--port"):
        up.free_port("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_refused_with_the_option_to_change(host: str) -> None:
    with pytest.raises(embedded.StartError, match="--host ADDRESS"):
        up.free_port(host, 0)
