"""The log of every process: text, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from netlab.log_output import JsonLines, LogSettingError, configure

RUN = "0b0c9a52-3f0e-4b6e-9a5d-0d8f6c0f2a11"


def line(message: str, *arguments: object, **more: Any) -> dict[str, Any]:
    """The document of one record."""
    record = logging.LogRecord("reachq.test", logging.WARNING, __file__, 1, message, arguments, more.get("exc_info"))
    vars(record).update(more.get("extra", {}))
    text = JsonLines("workers").format(record)
    assert "\n" not in text
    document: dict[str, Any] = json.loads(text)
    return document


def test_a_json_line_has_time_level_process_logger_and_message() -> None:
    document = line("two %s", "words")
    assert document.pop("time").endswith("+00:00")
    assert document.pop("pid") > 0
    assert document == {"level": "warning", "process": "workers", "logger": "reachq.test", "message": "two words"}


def test_the_run_id_comes_from_the_message_or_from_the_record() -> None:
    assert line("run %s was lost", RUN)["run_id"] == RUN
    assert line("lost", extra={"run_id": RUN})["run_id"] == RUN
    assert "run_id" not in line("run 12 was lost")


def test_an_exception_is_one_field_with_the_whole_traceback() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        document = line("it broke", exc_info=sys.exc_info())
    assert document["exception"].startswith("Traceback")
    assert document["exception"].endswith("ValueError: two\nlines")


def test_control_characters_are_escaped() -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "a\x1b[31m\u202e\nb", (), None)
    assert JsonLines("web").format(record).isprintable()


@pytest.mark.parametrize(("level", "form"), [("loud", "text"), ("", "text"), ("info", "xml")])
def test_an_unknown_level_or_format_is_refused_with_those_that_exist(level: str, form: str) -> None:
    with pytest.raises(LogSettingError, match=r"REACHQ_LOG_\w+: '\w*' is not one of \w+, \w+"):
        configure("web", level, form)


def output_of(script: str, level: str, form: str) -> str:
    """What a new interpreter writes to stderr after `configure`."""
    code = f"import logging, threading; from netlab.log_output import configure; configure('p', {level!r}, {form!r})\n"
    return subprocess.run([sys.executable, "-c", code + script], capture_output=True, text=True, check=False).stderr


def test_lines_below_the_level_are_left_out() -> None:
    script = "for say in (logging.debug, logging.info, logging.warning, logging.error): say('x')"
    assert output_of(script, "warning", "text") == "WARNING x\nERROR x\n"
    assert output_of(script, "debug", "text").count("\n") == 4


@pytest.mark.parametrize("script", ["1 / 0", "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"])
def test_an_uncaught_exception_is_a_json_line_too(script: str) -> None:
    (text,) = output_of(script, "info", "json").splitlines()
    document = json.loads(text)
    assert document["level"] == "critical"
    assert document["exception"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize("module", ["app", "compat_dispatcher", "netlab", "workers"])
def test_every_process_refuses_an_unknown_level(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module],
        env={"REACHQ_LOG_LEVEL": "loud", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "REACHQ_LOG_LEVEL: 'loud'" in done.stderr
    assert "debug" in done.stderr
    assert "Traceback" not in done.stderr
