"""The table of `reachq` commands agrees with the commands that it names, and help and version load none of them."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from app.cli import COMMANDS, reachq

HEAVY = ("pydantic", "redis", "flask", "rq", "asyncio", "argon2", "ledger.settings", "ledger.store", "app.cli.submit")
HELP = reachq.context_settings["help_option_names"]
SHOW_LOADED = """
import sys
from app.cli import main
try:
    main(sys.argv[2:])
except SystemExit:
    print("loaded:", *sorted(set(sys.argv[1].split(",")) & set(sys.modules)))
"""


def loaded() -> click.Group:
    """The same group with all its commands loaded."""
    context = click.Context(reachq)
    group = click.Group("reachq", params=reachq.params, help=reachq.help)
    for name in COMMANDS:
        command = reachq.get_command(context, name)
        assert command is not None
        group.add_command(command)
    return group


def test_each_command_has_the_name_that_the_table_gives_it() -> None:
    assert sorted(loaded().commands) == sorted(COMMANDS)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_help_reads_as_if_all_commands_were_loaded(width: int) -> None:
    texts = [
        group.get_help(click.Context(group, info_name="reachq", terminal_width=width, help_option_names=HELP))
        for group in (reachq, loaded())
    ]
    assert texts[0] == texts[1]


def test_a_name_outside_the_table_is_not_a_command() -> None:
    assert reachq.get_command(click.Context(reachq), "sumbit") is None


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["sumbit"]], ids=" ".join)
def test_version_help_and_a_wrong_command_load_no_part_of_the_system(words: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SHOW_LOADED, ",".join(HEAVY), *words], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "loaded:"


@pytest.mark.slow
def test_the_measure_of_what_is_loaded_sees_a_command_that_needs_the_system() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SHOW_LOADED, ",".join(HEAVY), "submit", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"pydantic", "redis", "app.cli.submit"} <= set(ran.stdout.splitlines()[-1].split())
