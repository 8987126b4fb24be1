"""Configures the log of every process of reachq on stderr: text for people, or one JSON object per line for programs.

The fields of a JSON line are `time` (ISO 8601, UTC), `level`, `process`, `pid`, `logger` and `message`. A record about
one run also has `run_id`, and one about an exception has `exception` (the traceback).
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType

from netlab.errors import NetlabError

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
FORMATS = ("text", "json")
TEXT = "%(levelname)s %(message)s"
_RUN = re.compile(r"\brun ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


class LogSettingError(NetlabError):
    """The log's level or format does not exist. The message has the setting and its valid values."""


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object in ASCII, so that no control character reaches a terminal."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Format the record as a line, without a line feed at its end."""
        message = record.getMessage()
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": record.process,
            "logger": record.name,
            "message": message,
        }
        run_id = getattr(record, "run_id", None) or ((run := _RUN.search(message)) and run[1])
        if run_id:
            document["run_id"] = run_id
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document)


def configure(process: str, level: str = "info", form: str = "text", *, text: str = TEXT) -> None:
    """Send the log of this process to stderr. Raises LogSettingError.

    `process` is the name of the process in JSON lines. `text` is the format of text lines. With JSON lines, an
    exception that ends the process is logged in the same format.
    """
    if level not in LEVELS:
        raise LogSettingError(f"REACHQ_LOG_LEVEL: {level!r} is not one of {', '.join(LEVELS)}")
    if form not in FORMATS:
        raise LogSettingError(f"REACHQ_LOG_FORMAT: {form!r} is not one of {', '.join(FORMATS)}")
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(process) if form == "json" else logging.Formatter(text))
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    if form == "json":
        sys.excepthook = _log_uncaught
        threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, at)
    else:
        logging.getLogger("reachq").critical("the process ends with an exception", exc_info=(kind, error, at))


def _log_uncaught_in_thread(thread: threading.ExceptHookArgs) -> None:
    name, error = thread.thread.name if thread.thread else "?", thread.exc_value
    if error is not None and thread.exc_type is not SystemExit:
        logging.getLogger("reachq").critical("thread %s ends with an exception", name, exc_info=error)
