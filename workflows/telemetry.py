"""How log lines are written: as text for people, or as JSON for what collects logs.

A line's message begins with the name of what happened, as in `run.rescued count=2`; the names are
in `docs/observability.md`.
"""

import json
import logging
import re
from typing import Any

from typing_extensions import override

BOUND = ("run", "workflow", "step")
EVENT = re.compile(r"[a-z]+(?:\.[a-z_]+)+(?=\s|$)")
# What a terminal, or somebody who reads line by line, could be deceived by.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class TextFormatter(logging.Formatter):
    """Writes a line of text: when, how grave, who, what, and in which run and step."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname:<8} {name}: {message}", style="{")

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        """Write the line; what was put into it cannot begin another one."""
        bound = "".join(
            f" {name}={value}"
            for name, value in bound_to(record).items()
            if f" {name}=" not in record.message
        )
        record.message = CONTROL.sub(_escaped, record.message + bound)
        return super().formatMessage(record)


class JSONFormatter(logging.Formatter):
    """Writes a line of JSON: `at`, `level`, `logger`, `event`, `message`, and what it is about."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Write the line."""
        message = record.getMessage()
        event = EVENT.match(message)
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03}",
            "level": record.levelname,
            "logger": record.name,
            "event": event[0] if event else None,
            "message": message,
            "process": record.process,
            **bound_to(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def bound_to(record: logging.LogRecord) -> dict[str, str]:
    """Return the run, its workflow and the step in which a line was written, if any."""
    found = {name: getattr(record, name, None) for name in BOUND}
    return {name: str(value) for name, value in found.items() if value is not None}


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
