"""What starts a workflow: events, by name or by pattern, and cron lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from workflows.definitions.cron import firings, last_firing, require_line, require_zone
from workflows.definitions.durations import Duration, milliseconds, positive_duration
from workflows.definitions.events import SYSTEM_EVENTS, EventData, validate_event_name
from workflows.definitions.expressions import compile_expression
from workflows.errors import InvalidEvent, InvalidWorkflow

MOST_TRIGGERS = 10


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """Starts a workflow for an event.

    Attributes:
        event: an `EventData` class, an event's name, or a pattern: a name that ends in `/*` or
            `.*` matches every longer name that begins as it does.
        if_: an expression over the event that must be true as well.
    """

    event: str | type[EventData]
    if_: str | None = None

    @property
    def is_pattern(self) -> bool:
        """Whether the event's name ends in a wildcard."""
        return event_name(self.event).endswith("*")

    def matches(self, name: str) -> bool:
        """Say whether an event of this name triggers, if `if_` agrees."""
        return name_matches(event_name(self.event), name)

    def checked(self) -> EventTrigger:
        """Give the trigger with its event as a name.

        Raises:
            InvalidWorkflow: the name or the pattern is wrong.
            InvalidExpression: the expression is.
        """
        name = event_name(self.event)
        _require_name_or_pattern(name)
        if self.if_ is not None:
            compile_expression(self.if_, argument="if_")
        return replace(self, event=name)

    def declaration(self) -> dict[str, Any]:
        """Give the trigger as it is stored."""
        return {"kind": "event", "event": event_name(self.event), "if": self.if_}


@dataclass(frozen=True, slots=True)
class Cron:
    """Starts a workflow at the times of a cron line.

    Attributes:
        line: five fields: minute, hour, day of the month, month, day of the week.
        tz: the time zone whose clock the line means.
        jitter: the longest delay, of which each firing gets a part at random.
    """

    line: str
    tz: str = "UTC"
    jitter: Duration | None = None

    def next_after(self, moment: datetime) -> datetime:
        """Give the first firing later than `moment`, in UTC and without jitter."""
        return next(firings(self.line, zone=self.tz, after=moment.astimezone(UTC)))

    def last_between(self, after: datetime, until: datetime) -> datetime | None:
        """Give the last firing later than `after`, up to and with `until`, if there is one."""
        return last_firing(
            self.line, zone=self.tz, after=after.astimezone(UTC), until=until.astimezone(UTC)
        )

    def checked(self) -> Cron:
        """Give the trigger with a tidy line and its jitter as a `timedelta`.

        Raises:
            InvalidWorkflow: the line or the time zone is wrong.
            InvalidDuration: the jitter is.
        """
        jitter = self.jitter
        if jitter is not None:
            jitter = positive_duration(jitter, argument="jitter")
        return Cron(require_line(self.line), tz=require_zone(self.tz), jitter=jitter)

    def declaration(self) -> dict[str, Any]:
        """Give the trigger as it is stored."""
        jitter = milliseconds(self.jitter) if isinstance(self.jitter, timedelta) else None
        return {"kind": "cron", "cron": self.line, "tz": self.tz, "jitter_ms": jitter}


Trigger = EventTrigger | Cron
OneTrigger = str | type[EventData] | EventTrigger | Cron


def checked_triggers(trigger: OneTrigger | Sequence[OneTrigger] | None) -> tuple[Trigger, ...]:
    """Give what the argument `trigger` of a workflow means.

    Raises:
        InvalidWorkflow: one of the triggers is wrong, two are equal, or there are too many.
        InvalidExpression: the condition of one is wrong.
        InvalidDuration: the jitter of one is.
    """
    triggers = _as_list(trigger)
    if len(triggers) > MOST_TRIGGERS:
        raise InvalidWorkflow(f"{len(triggers)} are too many: {MOST_TRIGGERS} are allowed.")
    return _without_repetition(tuple(_as_trigger(each).checked() for each in triggers))


def event_name(event: str | type[EventData]) -> str:
    """Give the name that an `EventData` class bears, or the name itself.

    Raises:
        InvalidWorkflow: it is something else, or a class without a name.
    """
    return event if isinstance(event, str) else _name_of_class(event)


def name_matches(pattern: str, name: str) -> bool:
    """Say whether a name is the one that a trigger names, or fits its pattern."""
    if not pattern.endswith("*"):
        return name == pattern
    return name.startswith(pattern[:-1]) and len(name) >= len(pattern)


def require_exact_name(event: str | type[EventData]) -> str:
    """Give the name of an event where a pattern cannot stand.

    Raises:
        InvalidWorkflow: the name is wrong or a pattern.
    """
    name = event_name(event)
    _require_name_or_pattern(name)
    if name.endswith("*"):
        raise InvalidWorkflow(f"The pattern {name!r} cannot stand here: name one event.")
    return name


def _name_of_class(event: object) -> str:
    if not (isinstance(event, type) and issubclass(event, EventData)):
        raise InvalidWorkflow(f"{event!r} is neither an event's name nor an EventData class.")
    if not event.event_name:
        raise InvalidWorkflow(
            f"{event.__qualname__} bears no event's name: write "
            f'class {event.__name__}(EventData, name="...").'
        )
    return event.event_name


def _as_list(trigger: object) -> list[object]:
    if trigger is None:
        return []
    return list(trigger) if isinstance(trigger, list | tuple) else [trigger]


def _as_trigger(trigger: object) -> Trigger:
    if isinstance(trigger, EventTrigger | Cron):
        return trigger
    if isinstance(trigger, str | type):
        return EventTrigger(trigger)
    raise InvalidWorkflow(
        f"{trigger!r} is no trigger: write an EventData class, an event's name, EventTrigger(...), "
        f"Cron(...), or a list of them."
    )


def _without_repetition(triggers: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
    for place, trigger in enumerate(triggers):
        if trigger in triggers[:place]:
            raise InvalidWorkflow(f"{trigger!r} stands there twice.")
    return triggers


def _require_name_or_pattern(name: str) -> None:
    try:
        validate_event_name(name, allow_reserved=True)
    except InvalidEvent as error:
        raise InvalidWorkflow(str(error)) from error
    _require_wildcard_at_a_boundary(name)
    if name.startswith(("workflows/", "inngest/")) and not name.endswith("*"):
        _require_system_event(name)


def _require_wildcard_at_a_boundary(name: str) -> None:
    if "*" in name and ("*" in name[:-1] or not name.endswith(("/*", ".*"))):
        raise InvalidWorkflow(
            f"{name!r} is no pattern: a wildcard stands at the end, after / or ., as in "
            f'"shop/*" or "order.*".'
        )


def _require_system_event(name: str) -> None:
    if name not in SYSTEM_EVENTS:
        close = get_close_matches("workflows/" + name.partition("/")[2], SYSTEM_EVENTS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InvalidWorkflow(f"There is no system event {name!r}{hint}")
