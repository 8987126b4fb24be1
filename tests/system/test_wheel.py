"""The wheel works without the checkout: installed in a separate venv, from any current folder.

The dependencies are those of the environment that runs the tests; reachq itself comes only from the wheel.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.patience import patience
from tests.system.running import ROOT, System, clean_environment

TOP_LEVEL = ("app", "compat_dispatcher", "dscp", "ledger", "netlab", "workers")
SHOW_FILES = f"import {', '.join(TOP_LEVEL)}; print(*(each.__file__ for each in ({', '.join(TOP_LEVEL)})), sep='\\n')"
EVIL = "raise SystemExit('a package of the current folder was loaded')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the files that git tracks, since a build writes into its source."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if not (ROOT / name).exists():
            continue
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            target.symlink_to((ROOT / name).readlink())
        else:
            target.write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", folder, source], capture_output=True, check=True)
    (built,) = folder.glob("reachq-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a venv with the wheel."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, wheel], capture_output=True, check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python.parent


@pytest.fixture
def system(
    installed: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[System]:
    """`reachq up` of the wheel without any option but the port, in the folder `here`, as a user with an empty home."""
    folder = tmp_path_factory.mktemp("up")  # a short name: the path of a socket has at most 107 bytes
    here, home = folder / "here", folder / "home"
    here.mkdir()
    for name in getattr(request, "param", ()):
        (here / name).mkdir()
        (here / name / "__init__.py").write_text(EVIL)
    started = System(
        home / ".local" / "state" / "reachq",
        argv=[installed / "reachq", "up", "--port", "0"],
        settings={"HOME": str(home)},
        cwd=here,
    )
    yield started
    started.close()


def test_the_wheel_has_the_processes_and_the_sample_network_of_the_checkout(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        packed = {name: files.read(name) for name in files.namelist()}
    assert packed["app/data/Procfile"] == (ROOT / "Procfile").read_bytes()
    campus = {path.relative_to(ROOT): path.read_bytes() for path in (ROOT / "networks").rglob("*") if path.is_file()}
    assert len(campus) > 30
    prefix = "netlab/data/"
    assert {Path(name.removeprefix(prefix)): text for name, text in packed.items() if name.startswith(prefix)} == campus


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        packed = set(files.namelist())
    ours = {
        str(path.relative_to(ROOT))
        for name in TOP_LEVEL
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md"
    }
    assert ours - packed == set()


def test_every_package_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    shown = subprocess.run(
        [installed / "python", "-P", "-c", SHOW_FILES], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert all(line.startswith(str(installed.parent)) for line in shown.stdout.splitlines()), shown.stdout


def test_up_gives_a_first_answer_in_an_empty_folder(system: System) -> None:
    system.ready()
    assert "10.1.10.20 → 10.3.20.8  NO" in system.output
    assert "22/tcp from 10.1.10.20 to 10.3.20.8 is blocked by dc-fw" in system.output
    assert system.run("queue").returncode == 0
    assert system.end(signal.SIGINT) == 0
    system.assert_gone()
    assert list((system.data.parents[3] / "here").iterdir()) == []


@pytest.mark.parametrize("system", [TOP_LEVEL], indirect=True, ids=["evil"])
def test_packages_of_the_current_folder_are_not_loaded_by_any_process(system: System) -> None:
    system.ready()
    assert "10.1.10.20 → 10.3.20.8  NO" in system.output
    assert "a package of the current folder" not in system.output
    assert system.end(signal.SIGINT) == 0


@pytest.mark.parametrize("words", [["--version"], ["lanes", "--help"], ["bench", "doctor"]], ids=" ".join)
def test_packages_of_the_current_folder_are_not_loaded_by_a_command(
    installed: Path, tmp_path: Path, words: list[str]
) -> None:
    for name in TOP_LEVEL:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(EVIL)
    ran = subprocess.run(
        [installed / "reachq", *words],
        cwd=tmp_path,
        env={**clean_environment(), "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )
    assert ran.returncode == 0, ran
    assert "a package of the current folder" not in ran.stdout + ran.stderr


def test_without_safe_path_a_package_of_the_current_folder_would_be_loaded(installed: Path, tmp_path: Path) -> None:
    """The danger is real: the processes must be started as `reachq up` and the systemd units start them."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text(EVIL)
    ran = subprocess.run([installed / "python", "-m", "app"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "a package of the current folder was loaded" in ran.stderr
