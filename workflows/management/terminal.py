"""What the commands share: who acts, what the terminal shows, and the options that choose runs."""

import getpass
import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management import CommandError
from django.core.management.base import OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.dateparse import parse_datetime
from rich.console import Console

from workflows.clock import clock
from workflows.definitions.durations import positive_duration
from workflows.engine.audit import Actor
from workflows.engine.run_filter import RunFilter
from workflows.errors import InvalidDuration, InvalidFilter
from workflows.models import ActorKind

PLAIN_WIDTH = 200  # characters, where the output is no terminal
FILTERS = ("workflow", "since", "until", "error", "tag")


def command_actor() -> Actor:
    """Return who acts: the user of the operating system."""
    try:
        return Actor(ActorKind.COMMAND, getpass.getuser())
    except (KeyError, OSError):  # a container's user need not have a name
        return Actor(ActorKind.COMMAND, "unknown")


def console(out: OutputWrapper) -> Console:
    """Return what draws tables and bars: plain text where the output is no terminal."""
    width = None if out.isatty() else PLAIN_WIDTH
    return Console(file=out, width=width)  # type: ignore[arg-type]  # it has `write`


def print_json(out: OutputWrapper, value: Any) -> None:
    """Print a value as JSON."""
    out.write(json.dumps(value, cls=DjangoJSONEncoder, indent=2))


def add_filters(parser: ArgumentParser) -> None:
    """Take what chooses runs."""
    parser.add_argument("--workflow", metavar="ID")
    parser.add_argument("--since", metavar="T", help="created then or later: ISO 8601, or 2h ago")
    parser.add_argument("--until", metavar="T", help="created before then")
    parser.add_argument("--error", metavar="TEXT", help="in the error's name or message")
    parser.add_argument("--tag", metavar="KEY:VALUE", help="such as customer:4711")


def read_filter(options: dict[str, Any], *, status: str | None = None) -> RunFilter:
    """Return the filter that a command's options make."""
    given: dict[str, Any] = {name: options.get(name) for name in FILTERS}
    for name in ("since", "until"):
        if given[name] is not None:
            given[name] = read_moment(name, given[name])
    try:
        return RunFilter(status=status, **given)
    except InvalidFilter as error:
        raise CommandError(str(error)) from error


def read_moment(name: str, text: str) -> datetime:
    """Return a moment: ISO 8601, in UTC where it names no zone, or a duration before now."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is not None:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    try:
        return clock.now() - positive_duration(text)
    except (InvalidDuration, OverflowError) as error:
        message = (
            f"--{name} is a moment such as 2026-01-31T12:00 (in UTC), or how long ago, such as 2h, "
            f"not {text!r}."
        )
        raise CommandError(message) from error
